package cli

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logLevels are the words of --log-level, from the most to the least.
var logLevels = []string{"trace", "debug", "info", "warn", "error"}

// logger returns a logger on standard error.
func (c *console) logger(level, format string) (*zap.Logger, error) {
	var l zapcore.Level
	switch level {
	case "trace": // zap has nothing below
		l = zapcore.DebugLevel
	case "debug", "info", "warn", "error":
		if err := l.Set(level); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("OCKAM_LOG_LEVEL is %q; possible values are trace, debug, info, warn and error", level)
	}
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	var encoder zapcore.Encoder
	if format == "json" || format == "auto" && !c.errTTY {
		encoder = zapcore.NewJSONEncoder(e)
	} else {
		e.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		e.EncodeLevel = zapcore.CapitalLevelEncoder
		if c.color() {
			e.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		e.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(e)
	}
	core := zapcore.NewCore(encoder, zapcore.AddSync(c.stderr), l)
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, sameAtOnce, sameLater)), nil
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
