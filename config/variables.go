package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRecipe is the largest text of a recipe, before and after variables are
// put into it.
const maxRecipe = 1 << 20

// maxUnknown is how many unknown variables are told at once.
const maxUnknown = 20

var errTooLarge = errors.New("larger than 1 MiB")

// RecipeOptions change how a recipe is read. The zero value reads the
// process's own environment.
type RecipeOptions struct {
	File      string                                    // what messages call the text; empty for "configuration"
	Env       func(name string) (value string, ok bool) // nil stands for os.LookupEnv
	Variables map[string]string                         // win over the environment: --variable NAME=VALUE
}

func (o RecipeOptions) file() string {
	if o.File == "" {
		return "configuration"
	}
	return o.File
}

// Lookup returns the value of a name: that of Variables, or of the environment.
func (o RecipeOptions) Lookup(name string) (string, bool) {
	if v, ok := o.Variables[name]; ok {
		return v, true
	}
	if o.Env == nil {
		return os.LookupEnv(name)
	}
	return o.Env(name)
}

// expand puts values in the place of $NAME, ${NAME} and ${NAME:-default}, and a
// dollar in that of $$. What a value or default holds is not expanded. A
// dollar before anything else stays (Ockam protocol, command line, variables).
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	var unknown []error
	line, unclosed := 1, false
	value := func(name, def string, hasDef bool) {
		v, ok := lookup(name)
		switch {
		case ok:
			b.WriteString(v)
		case hasDef:
			b.WriteString(def)
		case len(unknown) < maxUnknown:
			unknown = append(unknown, fmt.Errorf(
				"line %d: the variable '%s' was not found: set it in the environment, by --variable, or under \"variables:\"; $$ is a dollar", line, name))
		}
	}
	for text != "" {
		at := strings.IndexByte(text, '$')
		if at < 0 {
			at = len(text)
		}
		b.WriteString(text[:at])
		line += strings.Count(text[:at], "\n")
		if text = text[at:]; text == "" {
			break
		}
		rest := text[1:]
		name := variableName(rest)
		end := -1 // of what stands in braces
		if strings.HasPrefix(rest, "{") && !unclosed {
			end = strings.IndexByte(rest, '}')
			unclosed = end < 0 // and so is whatever follows
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			text = rest[1:]
		case end > 0:
			inner, after := rest[1:end], rest[end+1:]
			name, def, hasDef := cutDefault(inner)
			value(name, def, hasDef)
			line += strings.Count(inner, "\n")
			text = after
		case name != "":
			value(name, "", false)
			text = rest[len(name):]
		default:
			b.WriteByte('$')
			text = rest
		}
		if b.Len() > maxRecipe {
			return "", errTooLarge
		}
	}
	if b.Len() > maxRecipe {
		return "", errTooLarge
	}
	return b.String(), errors.Join(unknown...)
}

// cutDefault takes NAME:-DEFAULT apart.
func cutDefault(inner string) (name, def string, hasDef bool) {
	if at := strings.Index(inner, ":-"); at > 0 {
		return inner[:at], inner[at+2:], true
	}
	return inner, "", false
}

// variableName returns the name that text begins with: letters, digits and _.
func variableName(text string) string {
	for i, r := range text {
		if r == utf8.RuneError || r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return text[:i]
		}
	}
	return text
}
