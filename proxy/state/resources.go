package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// The kinds of resources that a node has again when it is started again.
const (
	KindTCPConnection         = "tcp-connection"
	KindTCPListener           = "tcp-listener"
	KindTCPInlet              = "tcp-inlet"
	KindTCPOutlet             = "tcp-outlet"
	KindRelay                 = "relay"
	KindSecureChannel         = "secure-channel"
	KindSecureChannelListener = "secure-channel-listener"
	KindService               = "service"
)

// A Resource is something that a node has: what [Store.NodeResources] returns.
type Resource struct {
	// Kind is one of the constants, or another word.
	Kind string
	// Name tells it from the others of its kind at the node.
	Name string
	// Version is the version of the form that Settings have, from 1 on.
	Version int
	// Settings are a JSON value; the store does not look into it.
	Settings json.RawMessage
}

// NewResource returns a resource with settings in version 1 of their form,
// made with encoding/json.
func NewResource(kind, name string, settings any) (Resource, error) {
	b, err := json.Marshal(settings)
	if err != nil {
		return Resource{}, fmt.Errorf("state: %s %q: %w", kind, name, err)
	}
	return Resource{Kind: kind, Name: name, Version: 1, Settings: b}, nil
}

// Decode puts the settings into what to points at. It refuses a form of a
// newer version than the one that the caller knows.
func (r Resource) Decode(known int, to any) error {
	if r.Version < 1 || r.Version > known {
		return fmt.Errorf("state: %s %q: %w (version %d, known is %d)", r.Kind, r.Name, ErrNewer, r.Version, known)
	}
	if err := json.Unmarshal(r.Settings, to); err != nil {
		return fmt.Errorf("state: %s %q: %w", r.Kind, r.Name, err)
	}
	return nil
}

// AddResource stores a resource of a node (the default one if node is empty).
// The error is ErrNotFound if there is no such node, or ErrExists.
func (s *Store) AddResource(ctx context.Context, node string, r Resource) error {
	return s.putResource(ctx, node, r, false)
}

// PutResource is AddResource in place of the one of the same kind and name.
func (s *Store) PutResource(ctx context.Context, node string, r Resource) error {
	return s.putResource(ctx, node, r, true)
}

func (s *Store) putResource(ctx context.Context, name string, r Resource, replace bool) error {
	if r.Kind == "" || r.Version < 1 || !json.Valid(r.Settings) {
		return fmt.Errorf("state: %s %q: a resource needs a kind, a version and settings in JSON", r.Kind, r.Name)
	}
	return s.update(ctx, func(tx *sql.Tx) error {
		n, err := node(ctx, tx, name)
		if err != nil {
			return err
		}
		query := "INSERT INTO node_resource (node, kind, name, version, settings) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
		if replace {
			query = "INSERT INTO node_resource (node, kind, name, version, settings) VALUES (?, ?, ?, ?, ?) " +
				"ON CONFLICT DO UPDATE SET version = excluded.version, settings = excluded.settings"
		}
		result, err := tx.ExecContext(ctx, query, n.sequence, r.Kind, r.Name, r.Version, string(r.Settings))
		if err != nil {
			return err
		}
		if count, err := result.RowsAffected(); err != nil || count > 0 {
			return err
		}
		return exists(r.Kind, r.Name, "give this one another name, or delete that")
	})
}

// NodeResources returns the resources of a node (the default one if node is
// empty) in the order in which they were added, all kinds if kind is empty.
// The error is ErrNotFound if there is no such node.
func (s *Store) NodeResources(ctx context.Context, node, kind string) ([]Resource, error) {
	all, err := s.nodeResources(ctx, node, kind)
	return all, s.explain(err)
}

func (s *Store) nodeResources(ctx context.Context, name, kind string) (all []Resource, err error) {
	n, err := node(ctx, s.db, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT kind, name, version, settings FROM node_resource "+
		"WHERE node = ?1 AND (?2 = '' OR kind = ?2) ORDER BY sequence", n.sequence, kind)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Resource
		var settings string
		if err := rows.Scan(&r.Kind, &r.Name, &r.Version, &settings); err != nil {
			return nil, err
		}
		r.Settings = json.RawMessage(settings)
		all = append(all, r)
	}
	return all, rows.Err()
}

// DeleteResource deletes a resource of a node (the default one if node is
// empty). The error is ErrNotFound if there is no such node, or resource.
func (s *Store) DeleteResource(ctx context.Context, node, kind, name string) error {
	return s.deleteOfNode(ctx, node, &ItemError{Err: ErrNotFound, Kind: kind, Name: name},
		"DELETE FROM node_resource WHERE node = ? AND kind = ? AND name = ?", kind, name)
}

// deleteOfNode runs a statement whose first argument is the node, and returns
// none if it deletes nothing.
func (s *Store) deleteOfNode(ctx context.Context, name string, none error, query string, args ...any) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		n, err := node(ctx, tx, name)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, query, append([]any{n.sequence}, args...)...)
		if err != nil {
			return err
		}
		if count, err := result.RowsAffected(); err != nil || count > 0 {
			return err
		}
		return none
	})
}

// A Policy says who may do something with a resource of a node.
type Policy struct {
	// Resource is the name of a resource, or of a type of them.
	Resource string
	// OfType says that it is a type.
	OfType bool
	// Action is what may be done.
	Action string
	// Expression is the condition, as text; the store does not look into it.
	Expression string
}

// PutPolicy stores a policy of a node (the default one if node is empty) in
// place of the one for the same resource and action. The error is ErrNotFound
// if there is no such node.
func (s *Store) PutPolicy(ctx context.Context, node string, p Policy) error {
	return s.putPolicies(ctx, node, []Policy{p}, "DO UPDATE SET expression = excluded.expression")
}

// PutDefaultPolicies stores those of the policies for whose resource and
// action there is none.
func (s *Store) PutDefaultPolicies(ctx context.Context, node string, all []Policy) error {
	return s.putPolicies(ctx, node, all, "DO NOTHING")
}

func (s *Store) putPolicies(ctx context.Context, name string, all []Policy, onConflict string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		n, err := node(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, p := range all {
			_, err := tx.ExecContext(ctx, "INSERT INTO policy (node, of_type, resource, action, expression) "+
				"VALUES (?, ?, ?, ?, ?) ON CONFLICT "+onConflict, n.sequence, p.OfType, p.Resource, p.Action, p.Expression)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Policies returns the policies of a node (the default one if node is empty):
// those of named resources, then those of types, both by name and action. The
// error is ErrNotFound if there is no such node.
func (s *Store) Policies(ctx context.Context, node string) ([]Policy, error) {
	all, err := s.policies(ctx, node)
	return all, s.explain(err)
}

func (s *Store) policies(ctx context.Context, name string) (all []Policy, err error) {
	n, err := node(ctx, s.db, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT resource, of_type, action, expression FROM policy "+
		"WHERE node = ? ORDER BY of_type, resource, action", n.sequence)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p Policy
		if err := rows.Scan(&p.Resource, &p.OfType, &p.Action, &p.Expression); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// Policy returns the expression for an action on a resource, or on a type of
// them, of a node (the default one if node is empty). The error is ErrNotFound
// if there is no such node, or policy.
func (s *Store) Policy(ctx context.Context, name string, p Policy) (string, error) {
	n, err := node(ctx, s.db, name)
	if err != nil {
		return "", s.explain(err)
	}
	err = s.db.QueryRowContext(ctx, "SELECT expression FROM policy WHERE node = ? AND of_type = ? AND resource = ? AND action = ?",
		n.sequence, p.OfType, p.Resource, p.Action).Scan(&p.Expression)
	if errors.Is(err, sql.ErrNoRows) {
		return "", notFound("policy", p.Resource)
	}
	return p.Expression, s.explain(err)
}

// DeletePolicy deletes the policy for an action on a resource, or on a type of
// them. The error is ErrNotFound if there is no such node, or policy.
func (s *Store) DeletePolicy(ctx context.Context, node string, p Policy) error {
	return s.deleteOfNode(ctx, node, notFound("policy", p.Resource),
		"DELETE FROM policy WHERE node = ? AND of_type = ? AND resource = ? AND action = ?", p.OfType, p.Resource, p.Action)
}
