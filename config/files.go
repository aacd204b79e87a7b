package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// findFiles replaces folders by the files in them and drops what was named
// twice.
func (l *loader) findFiles(paths []string) []string {
	if len(paths) == 0 {
		l.errorf(hcl.Range{}, "No configuration", "Name a file, or a folder that holds *.hcl files.")
	}
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[filepath.Clean(name)] {
			seen[filepath.Clean(name)] = true
			names = append(names, name)
		}
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			l.errorf(hcl.Range{Filename: path}, "Cannot read the configuration", "%s.", reason(err))
		case !info.IsDir():
			add(path)
		default:
			found := l.listFolder(path)
			for _, name := range found {
				add(name)
			}
		}
	}
	return names
}

// listFolder returns the *.hcl files of a folder in the order of their names.
func (l *loader) listFolder(path string) []string {
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		l.errorf(hcl.Range{Filename: path}, "Cannot read the folder", "%s.", reason(err))
		return nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && filepath.Ext(e.Name()) == ".hcl" && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		l.errorf(hcl.Range{Filename: path}, "No configuration in the folder", "The folder holds no file whose name ends in .hcl.")
	}
	return names
}

// parse reads the files. It returns one body for each that could be parsed.
func (l *loader) parse(names []string) []hcl.Body {
	var bodies []hcl.Body
	for _, name := range names {
		at := hcl.Range{Filename: name}
		switch filepath.Ext(name) {
		case ".yaml", ".yml", ".json":
			l.errorf(at, "Not an HCL file", "Files of the reference implementation stand alone: ockam run FILE.yaml sets up nodes in the background. To make HCL of one: ockam config convert FILE.yaml")
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			l.errorf(at, "Cannot read the configuration", "%s.", reason(err))
			continue
		}
		f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
		l.diags = append(l.diags, diags...)
		if f == nil {
			continue
		}
		l.files[name] = f
		body, ok := f.Body.(*hclsyntax.Body)
		if ok && !diags.HasErrors() && len(body.Blocks) == 0 && len(body.Attributes) == 0 {
			l.errorf(at, "Empty file", "The file says nothing. A configuration begins with: node \"NAME\" { … }")
		}
		bodies = append(bodies, f.Body)
	}
	return bodies
}

// reason is the cause of a file error without the path, which stands before
// it already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
