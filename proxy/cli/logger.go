package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ockam/proxy/state"
)

// logLevels are the words of --log-level, from the most to the least.
var logLevels = []string{"trace", "debug", "info", "warn", "error"}

// logger returns the logger of nodes, on standard error.
func (c *console) logger(level, format string) (*zap.Logger, error) {
	l, err := zapLevel(level)
	if err != nil {
		return nil, err
	}
	asJSON := format == "json" || format == "auto" && !c.errTTY
	return sampled(zapcore.NewCore(logEncoder(asJSON, c.color()), zapcore.AddSync(c.stderr), l)), nil
}

func sampled(core zapcore.Core) *zap.Logger {
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, sameAtOnce, sameLater))
}

// logTo begins a log in the files of a folder, in the form that the environment
// asks for. What is said to people goes there too.
func (c *console) logTo(folder, level string) error {
	l, err := zapLevel(level)
	if err != nil {
		return err
	}
	limits, err := logLimitsFromEnv()
	if err != nil {
		return err
	}
	if c.logFile, err = openLogFile(folder, limits); err != nil {
		return err
	}
	c.log = sampled(zapcore.NewCore(fileEncoder(getenv("OCKAM_LOG_FORMAT") == "json"), zapcore.AddSync(c.logFile), l))
	return nil
}

// startLog begins the log of a command, if OCKAM_LOGGING asks for one and -v
// does not put it on the console (Ockam protocol, command line, files).
func (c *console) startLog(cmd *cobra.Command) error {
	if !envBool("OCKAM_LOGGING") || c.verbosity > 0 {
		return nil
	}
	home, err := state.Home()
	if err != nil {
		return err
	}
	if err := os.Mkdir(home, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil //nolint:nilerr // the command itself says what is wrong with the home
	}
	name := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	if err := c.logTo(filepath.Join(home, "commands", name), c.logLevel(choice{value: "debug"})); err != nil {
		return err
	}
	log := c.log.With(zap.Int("pid", os.Getpid())) // others may write to the file
	log.Info("command begins", zap.String("command", name), zap.String("version", version))
	c.endLog = func(err error) {
		if err != nil {
			log.Error("command failed", zap.Error(err))
		} else {
			log.Info("command ended")
		}
		_ = c.logFile.Close() // all that was written is in the kernel
	}
	return nil
}

// startLines makes results and messages log lines on standard output, as -v
// asks (Ockam protocol, command line, what goes where).
func (c *console) startLines() error {
	level, err := zapLevel(c.logLevel(choice{value: "debug"}))
	if err != nil || c.verbosity == 0 {
		return err
	}
	asJSON := getenv("OCKAM_LOG_FORMAT") == "json"
	c.lines = zap.New(zapcore.NewCore(logEncoder(asJSON, c.outTTY && !c.noColor), zapcore.AddSync(c.stdout), level))
	return nil
}

func zapLevel(level string) (l zapcore.Level, err error) {
	switch level {
	case "trace": // zap has nothing below
		return zapcore.DebugLevel, nil
	case "debug", "info", "warn", "error":
		err = l.Set(level)
		return l, err
	}
	return l, fmt.Errorf("OCKAM_LOG_LEVEL is %q; possible values are trace, debug, info, warn and error", level)
}

func logEncoder(asJSON, color bool) zapcore.Encoder {
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	if asJSON {
		return zapcore.NewJSONEncoder(e)
	}
	e.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	e.EncodeLevel = zapcore.CapitalLevelEncoder
	if color {
		e.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	e.ConsoleSeparator = "  "
	return zapcore.NewConsoleEncoder(e)
}

// fileEncoder is logEncoder for files, which are read later and elsewhere.
func fileEncoder(asJSON bool) zapcore.Encoder {
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.ConsoleSeparator = "time", "  "
	e.EncodeTime = func(t time.Time, out zapcore.PrimitiveArrayEncoder) {
		out.AppendString(t.UTC().Format("2006-01-02T15:04:05.000000Z"))
	}
	if asJSON {
		return zapcore.NewJSONEncoder(e)
	}
	e.EncodeLevel = zapcore.CapitalLevelEncoder
	return zapcore.NewConsoleEncoder(e)
}

// Of lines with the same message, sameAtOnce a second are written, then every
// sameLater-th: strangers must not fill the disk by being refused.
const (
	sameAtOnce = 50
	sameLater  = 1000
)

// envLogLevel is the level that the environment asks for, empty if it does not.
func envLogLevel() string {
	if level := getenv("OCKAM_LOG_LEVEL"); level != "" {
		return level
	}
	return getenv("OCKAM_LOG") // its former name
}

// logLevel is the level asked for: by the option, by -v, or by the
// environment.
func (c *console) logLevel(option choice) string {
	fromEnv := envLogLevel()
	switch {
	case option.set:
		return option.value
	case c.verbosity >= 4:
		return "trace"
	case c.verbosity == 3:
		return "debug"
	case c.verbosity > 0:
		return "info"
	case fromEnv != "":
		return fromEnv
	}
	return option.value
}
