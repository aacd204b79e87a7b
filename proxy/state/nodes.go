package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Node is what is known of a node that commands work with.
type Node struct {
	// Name is the name of the node; it can be part of a file's name.
	Name string
	// Identity is the name of its identity. CreateNode takes the default one if
	// it is empty, except for a node in memory, which then has one of its own.
	Identity string
	// Default says that it is meant where no name is given.
	Default bool
	// Authority says that it is an authority, to which commands do not talk.
	Authority bool
	// InMemory says that it runs within a command. It never is the default, and
	// is removed some time after the command has ended without doing so.
	InMemory bool
	// ListenerAddress is where it listens for commands, HTTPAddress where its
	// HTTP server does: host:port, or empty.
	ListenerAddress, HTTPAddress string
	// Verbosity is how often -v was given.
	Verbosity int
	// Options are what else it was created with, in JSON; the store does not
	// look into it. Empty means null.
	Options json.RawMessage
	// Process is the one that ran it last, zero if it was stopped since.
	Process Process
	// Created and Started are in whole seconds; Started is zero if it never was.
	Created, Started time.Time

	sequence int64
}

// Running reports whether the node runs. One that died does not, even if
// another process has the number of its own.
func (n *Node) Running() bool { return n.Process.Running() }

const selectNode = `SELECT n.sequence, n.name, coalesce(i.name, ''), n.is_default, n.is_authority, n.in_memory,
	n.listener_address, n.http_address, n.verbosity, n.options, n.pid, n.process_start, n.created, n.started
	FROM node n LEFT JOIN identity i ON i.sequence = n.identity`

func scanNode(r row, n *Node) error {
	var options string
	var created, started int64
	err := r.Scan(&n.sequence, &n.Name, &n.Identity, &n.Default, &n.Authority, &n.InMemory,
		&n.ListenerAddress, &n.HTTPAddress, &n.Verbosity, &options, &n.Process.PID, &n.Process.Start, &created, &started)
	n.Options = json.RawMessage(options)
	n.Created, n.Started = time.Unix(created, 0), time.Time{}
	if started != 0 {
		n.Started = time.Unix(started, 0)
	}
	return err
}

func node(ctx context.Context, q querier, name string) (*Node, error) {
	var n Node
	err := scanNode(q.QueryRowContext(ctx, selectNode+" WHERE n.name = ?1 OR ?1 = '' AND n.is_default = 1", name), &n)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound(kindNode, name)
	} else if err != nil {
		return nil, err
	}
	return &n, nil
}

// NamedNode returns a node, the default one if name is empty. The error is
// ErrNotFound.
func (s *Store) NamedNode(ctx context.Context, name string) (*Node, error) {
	n, err := node(ctx, s.db, name)
	return n, s.explain(err)
}

// Nodes returns all nodes in the order in which they were created.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	all, err := nodes(ctx, s.db)
	return all, s.explain(err)
}

func nodes(ctx context.Context, q querier) (all []Node, err error) {
	rows, err := q.QueryContext(ctx, selectNode+" ORDER BY n.sequence")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Node
		if err := scanNode(rows, &n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// CreateNode stores a node and returns it as it is stored, with the time of
// its creation if n has none. The first one is the default whatever n says; an
// authority only until there is another node.
// The error is ErrExists when the name is taken, and ErrNotFound when there is
// no such identity.
func (s *Store) CreateNode(ctx context.Context, n Node) (*Node, error) {
	if err := checkFileName(kindNode, n.Name); err != nil {
		return nil, err
	}
	if n.Created.IsZero() {
		n.Created = time.Now()
	}
	var made *Node
	err := s.update(ctx, func(tx *sql.Tx) error {
		if err := sweep(ctx, tx); err != nil {
			return err
		}
		if err := nameIsFree(ctx, tx, kindNode, n.Name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO node (name, is_default, is_authority, in_memory, listener_address,
			http_address, verbosity, options, pid, process_start, created, started)
			VALUES (?, 0, 0, 0, '', '', 0, '', 0, '', ?, 0)`, n.Name, n.Created.Unix())
		if err != nil {
			return err
		}
		if !n.Authority && !n.InMemory { // commands do not talk to an authority
			if _, err := tx.ExecContext(ctx, "UPDATE node SET is_default = 0 WHERE is_authority = 1"); err != nil {
				return err
			}
		}
		if err := writeNode(ctx, tx, &n); err != nil {
			return err
		}
		made, err = node(ctx, tx, n.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// writeNode stores all of n but its name, the time of its creation and whether
// it is the default.
func writeNode(ctx context.Context, tx *sql.Tx, n *Node) error {
	var identity any
	if n.Identity != "" || !n.InMemory {
		i, err := named(ctx, tx, n.Identity)
		if err != nil {
			return err
		}
		identity = i.sequence
	}
	options := string(n.Options)
	if options == "" {
		options = "null"
	}
	if !json.Valid([]byte(options)) {
		return fmt.Errorf("state: node %q: the options are no JSON", n.Name)
	}
	var started int64
	if !n.Started.IsZero() {
		started = n.Started.Unix()
	}
	_, err := tx.ExecContext(ctx, `UPDATE node SET identity = ?, is_authority = ?, in_memory = ?, listener_address = ?,
		http_address = ?, verbosity = ?, options = ?, pid = ?, process_start = ?, started = ?,
		is_default = is_default AND NOT ? WHERE name = ?`,
		identity, n.Authority, n.InMemory, n.ListenerAddress, n.HTTPAddress, n.Verbosity, options,
		n.Process.PID, n.Process.Start, started, n.InMemory, n.Name)
	if err != nil {
		return err
	}
	return ensureDefault(ctx, tx, kindNode)
}

// UpdateNode changes a node: change gets it as it is and no other process
// changes it meanwhile. Name, Default and Created stay as they are, and so
// does everything when change returns an error, which UpdateNode returns.
// change must not call the store. The default node is meant if name is empty.
// The error is ErrNotFound if there is no such node, or identity.
func (s *Store) UpdateNode(ctx context.Context, name string, change func(*Node) error) (*Node, error) {
	var updated *Node
	err := s.update(ctx, func(tx *sql.Tx) error {
		n, err := node(ctx, tx, name)
		if err != nil {
			return err
		}
		name := n.Name
		if err := change(n); err != nil {
			return err
		}
		n.Name = name
		if err := writeNode(ctx, tx, n); err != nil {
			return err
		}
		updated, err = node(ctx, tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// NodeStarted records that this process runs the node now, and what change
// does to it, as [Store.UpdateNode]; change may be nil. It is for who holds
// the lock of the node, see [Store.LockNode], which is released however the
// process ends; the record is for other processes. The error is ErrRunning
// when the record says that another process runs the node: without the lock,
// or where there are none.
func (s *Store) NodeStarted(ctx context.Context, name string, change func(*Node) error) (*Node, error) {
	self := Self()
	return s.UpdateNode(ctx, name, func(n *Node) error {
		if n.Process != self && n.Process.Running() {
			return nodeRuns(n)
		}
		if change != nil {
			if err := change(n); err != nil {
				return err
			}
		}
		n.Process, n.Started = self, time.Now()
		return nil
	})
}

func nodeRuns(n *Node) error {
	return &ItemError{
		Err: ErrRunning, Kind: kindNode, Name: n.Name, Users: []string{fmt.Sprintf("process %d", n.Process.PID)},
		Advice: "stop it first: ockam node stop NAME",
	}
}

// NodeStopped records that the process p does not run the node any more. If
// another one has started it meanwhile, nothing is changed. The error is
// ErrNotFound.
func (s *Store) NodeStopped(ctx context.Context, name string, p Process) error {
	_, err := s.UpdateNode(ctx, name, func(n *Node) error {
		if n.Process == p {
			n.Process = Process{}
		}
		return nil
	})
	return err
}

// SetDefaultNode makes a node the default. The error is ErrNotFound; then
// nothing is changed. A node in memory is refused.
func (s *Store) SetDefaultNode(ctx context.Context, name string) error {
	n, err := s.NamedNode(ctx, name)
	if err == nil && n.InMemory {
		return fmt.Errorf("state: node %q ends with the command that runs it: it cannot be the default", name)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return s.setDefault(ctx, kindNode, name)
}

// DeleteNode deletes a node with its resources, policies, credentials and what
// it knows of others' attributes; the default one if name is empty. If it was
// the default, the first one left becomes that. Logs are not the store's. The
// error is ErrNotFound, or ErrRunning when another process runs the node.
func (s *Store) DeleteNode(ctx context.Context, name string) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		n, err := node(ctx, tx, name)
		if err != nil {
			return err
		}
		if n.Process != Self() && n.Process.Running() {
			return nodeRuns(n)
		}
		name = n.Name
		return deleteNode(ctx, tx, n)
	})
	if err == nil {
		s.RemoveLock(name)
	}
	return err
}

func deleteNode(ctx context.Context, tx *sql.Tx, n *Node) error {
	for _, table := range []string{"attributes", "credential"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE node = ?", n.Name); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM node WHERE sequence = ?", n.sequence); err != nil {
		return err
	}
	return ensureDefault(ctx, tx, kindNode)
}

// sweep removes the nodes in memory of commands that were killed.
func sweep(ctx context.Context, tx *sql.Tx) error {
	all, err := nodes(ctx, tx)
	if err != nil {
		return err
	}
	for i := range all {
		if n := &all[i]; n.InMemory && n.Process.PID != 0 && !n.Process.Running() {
			if err := deleteNode(ctx, tx, n); err != nil {
				return err
			}
		}
	}
	return nil
}
