package cli

import (
	"errors"
	"fmt"
	"slices"
)

// A selection is which of the things of a kind a show or delete command is
// about (Ockam protocol, command line, interactive selection).
type selection struct {
	kind     string                 // "node", "tcp inlet"
	names    []string               // what there is
	name     string                 // what the user named; empty if nothing
	fallback func() (string, error) // the default one, for show; nil if the kind has none
	all, yes bool                   // --all and --yes, for delete
}

// toShow returns the names to show. When there is nothing at all it prints
// that and returns none, without an error.
func (c *console) toShow(s selection) ([]string, error) {
	if len(s.names) == 0 {
		return nil, c.print(result{plain: markInfo + "There are no " + plural(s.kind) + " to show", json: []string{}})
	}
	if s.name == "" && c.canAsk() {
		return c.pick("Which "+plural(s.kind)+" to show", s.names)
	}
	if s.name == "" && s.fallback != nil {
		name, err := s.fallback()
		if err != nil {
			return nil, err
		}
		s.name = name
	}
	if s.name == "" {
		return nil, fmt.Errorf("say which %s to show: there is %s", s.kind, enumerate(s.names))
	}
	return s.known()
}

// toDelete returns the names to delete, which the user has confirmed. When
// there is nothing at all it prints that and returns none, without an error.
func (c *console) toDelete(s selection) ([]string, error) {
	chosen, question := s.names, "Delete "+s.kind+" "+s.name+"?"
	var err error
	switch {
	case len(s.names) == 0:
		return nil, c.print(result{plain: markInfo + "There are no " + plural(s.kind) + " to delete", json: []string{}})
	case s.all:
		question = "Delete all " + plural(s.kind) + "?"
	case s.name != "":
		chosen, err = s.known()
	case !c.canAsk():
		return nil, nil
	default:
		chosen, err = c.pick("Which "+plural(s.kind)+" to delete", s.names)
		question = "Delete " + enumerate(chosen) + "?"
	}
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	if err := c.confirm(s.yes, question); err != nil {
		return nil, err
	}
	return chosen, nil
}

func (s selection) known() ([]string, error) {
	if !slices.Contains(s.names, s.name) {
		return nil, notFound(s.kind, s.name, "there is "+enumerate(s.names))
	}
	return []string{s.name}, nil
}

// notFound says that there is no thing of that name, and what there is
// instead.
func notFound(kind, name, instead string) error {
	return absent(fmt.Sprintf("the %s %q was not found; %s", kind, name, instead))
}

// absent is an error about something that there is not.
func absent(text string) error { return &failure{code: codeNotFound, err: errors.New(text)} }

// deleteEach deletes the things that the user means and prints their names.
func (c *console) deleteEach(s selection, remove func(name string) error) error {
	chosen, err := c.toDelete(s)
	if err != nil {
		return err
	}
	return c.forEach(chosen, s.all, func(name string) error {
		if err := remove(name); err != nil {
			return err
		}
		return c.print(result{
			plain: markOK + "The " + s.kind + " " + name + " has been deleted", machine: name, json: object{"name": name},
		})
	})
}

// forEach calls f for each name. Where several are meant a failure is a
// warning on standard output, and the rest goes on.
func (c *console) forEach(names []string, several bool, f func(name string) error) error {
	for _, name := range names {
		err := f(name)
		if err == nil {
			continue
		}
		if !several || errors.Is(err, errNotConfirmed) {
			return err
		}
		line := markWarning + err.Error() + "\n"
		if err := c.print(result{plain: line, machine: line}); err != nil {
			return err
		}
	}
	return nil
}
