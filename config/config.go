// Package config turns HCL files into checked plain structs, one for each
// block, and reports every mistake with its place and a suggestion.
//
// Load reads files and folders; what it returns can be run as it stands, but
// for identifiers: "node.app.identifier" is known only once that node has its
// identity, so an Allow is resolved later, against the identifiers that exist.
//
// A Recipe is the other model: commands that set up nodes in the background. It
// is read from the reference's configurations in YAML, or made of a File.
//
// The package starts nothing, opens no socket and reads no state. It is a
// leaf: only the node runtime and the commands import it, and nothing below
// them takes a struct of this package.
package config

import (
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// A File is one configuration: everything that was read from the paths given
// to Load, which may have been several files.
type File struct {
	Nodes    []*Node  // in the order in which they were read; never empty
	Warnings Problems // what is possible but dangerous; to be told at the start
}

// Node returns the node of that name, or nil.
func (f *File) Node(name string) *Node {
	for _, n := range f.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Options change how Load reads. The zero value reads the process's own
// environment.
type Options struct {
	// Env is what env("NAME") asks; nil stands for os.LookupEnv.
	Env func(name string) (value string, ok bool)
}

// Load reads a configuration from paths: files, or folders of which it takes
// every *.hcl file in the order of their names. It touches nothing but these
// files and those that file("PATH") names.
//
// If anything is wrong the error is an *Error that holds all mistakes, of all
// files. (Where a file cannot even be parsed, only what is wrong with the
// syntax, since everything else may follow from it.)
func Load(paths []string, opts Options) (*File, error) {
	if opts.Env == nil {
		opts.Env = os.LookupEnv
	}
	l := &loader{
		env:    opts.Env,
		files:  map[string]*hcl.File{},
		locals: map[string]*local{},
		nodes:  map[string]*nodeBlock{},
	}
	names := l.findFiles(paths)
	bodies := l.parse(names)
	if l.diags.HasErrors() {
		return nil, l.err()
	}
	f := l.file(bodies)
	if l.diags.HasErrors() {
		return nil, l.err()
	}
	f.Warnings = l.problems()
	return f, nil
}

// A loader is the state of one Load.
type loader struct {
	env   func(string) (string, bool)
	files map[string]*hcl.File // by the name that diagnostics use
	diags hcl.Diagnostics      // errors and warnings, so far

	locals map[string]*local     // by name, from all files
	nodes  map[string]*nodeBlock // by name, from all files
}

// file builds the configuration out of the bodies of all files.
func (l *loader) file(bodies []hcl.Body) *File {
	var blocks []*nodeBlock
	for _, body := range bodies {
		content := l.content(body, topSchema)
		s := l.newScope(body)
		for _, b := range content.Blocks {
			switch b.Type {
			case "locals":
				l.addLocals(b, s)
			case "node":
				if n := l.addNode(b, s); n != nil {
					blocks = append(blocks, n)
				}
			}
		}
	}
	l.evalLocals()
	f := &File{}
	for _, n := range blocks { // listeners first: places may name a node of this configuration
		n.decodeListeners()
	}
	for _, n := range blocks {
		f.Nodes = append(f.Nodes, n.decode())
	}
	if len(blocks) == 0 && !l.diags.HasErrors() {
		l.errorf(hcl.Range{}, "No node", "There is no node block, so there is nothing to run. Write: node \"NAME\" { … }")
	}
	l.checkAddresses(f)
	l.checkRelays(f)
	l.checkMembers(f)
	return f
}

// topSchema is what may stand outside of a block.
var topSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "locals"},
	{Type: "node", LabelNames: []string{"name"}},
}}

// problems returns what was found, in the order of files and lines.
func (l *loader) problems() Problems {
	diags := slices.Clone(l.diags)
	slices.SortStableFunc(diags, compareDiagnostics)
	diags = slices.CompactFunc(diags, sameDiagnostic)
	return Problems{Diagnostics: diags, files: l.files}
}

func (l *loader) err() error {
	return &Error{l.problems()}
}
