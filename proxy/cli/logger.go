package cli

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
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
	core := zapcore.NewCore(logEncoder(asJSON, c.color()), zapcore.AddSync(c.stderr), l)
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, sameAtOnce, sameLater)), nil
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

// Of lines with the same message, sameAtOnce a second are written, then every
// sameLater-th: strangers must not fill the disk by being refused.
const (
	sameAtOnce = 50
	sameLater  = 1000
)

// logLevel is the level asked for: by the option, by -v, or by the
// environment.
func (c *console) logLevel(option choice) string {
	fromEnv := getenv("OCKAM_LOG_LEVEL")
	if fromEnv == "" {
		fromEnv = getenv("OCKAM_LOG") // its former name
	}
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
