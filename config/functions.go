package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFile is the largest file that file("PATH") reads.
const maxFile = 1 << 20

// functions returns what expressions of the file name can call.
func functions(env func(string) (string, bool), name string) map[string]function.Function {
	return map[string]function.Function{
		"env":  envFunction(env),
		"file": fileFunction(filepath.Dir(name)),
	}
}

// envFunction is env("NAME") and env("NAME", "default").
func envFunction(env func(string) (string, bool)) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "env takes a name and one default")
			}
			if v, ok := env(args[0].AsString()); ok {
				return cty.StringVal(v), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "the environment variable %s is not set; "+
				"set it, or give a default: env(%q, \"…\")", args[0].AsString(), args[0].AsString())
		},
	})
}

// fileFunction is file("PATH"), relative to dir. Line ends at the end of the
// text are cut off, so that a file written by echo or an editor serves.
func fileFunction(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path := args[0].AsString()
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			text, err := readText(path)
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "%s: %v", path, err)
			}
			return cty.StringVal(strings.TrimRight(text, "\r\n")), nil
		},
	})
}

func readText(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s", strings.ToLower(reason(err)))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s", strings.ToLower(reason(err)))
	case len(b) > maxFile:
		return "", fmt.Errorf("larger than 1 MiB")
	case !utf8.Valid(b):
		return "", fmt.Errorf("not a text in UTF-8")
	}
	return string(b), nil
}

// nearest returns the first of names that differs from given in at most two
// letters, and in less than half of them.
func nearest(given string, names []string) string {
	best, distance := "", 3
	for _, name := range names {
		d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(name), nil)
		if d < distance && 2*d < len(name)+1 {
			best, distance = name, d
		}
	}
	return best
}
