package cli

import (
	"context"
	"errors"
	"sync"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// A store is the state database, as the commands use it.
type store struct{ *state.Store }

// withStore calls f with the store of the user's home.
func withStore(ctx context.Context, f func(context.Context, *store) error) error {
	l := &lazyStore{}
	s, err := l.open()
	if err != nil {
		return err
	}
	err = f(ctx, &store{s})
	return errors.Join(err, l.close())
}

// create makes an identity, unless there is one of that name.
func (s *store) create(ctx context.Context, name string) (id *state.Named, created bool, err error) {
	return s.createIn(ctx, "", name)
}

// createIn is create with the vault for the keys, the default one if empty.
func (s *store) createIn(ctx context.Context, vault, name string) (id *state.Named, created bool, err error) {
	id, err = s.CreateIdentityIn(ctx, vault, name, identity.CreateOptions{})
	if errors.Is(err, state.ErrExists) {
		id, err = s.Named(ctx, name)
		return id, false, err
	}
	return id, err == nil, err
}

// history returns the history of the identity named by the arguments of a
// command, or of the default one.
func (s *store) history(ctx context.Context, args []string) (*identity.History, error) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	var id *identity.Identity
	err := state.ErrNotFound
	if name != "" || len(args) == 0 { // the empty name is nobody's
		id, err = s.Identity(ctx, name)
	}
	if err == nil {
		return id.History, nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	all, err := s.Identities(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0 && len(args) == 0:
		return nil, absent("there is no identity yet. Make one: ockam identity create NAME")
	case len(all) == 0:
		return nil, notFound("identity", name, "there are none. Make one: ockam identity create NAME")
	case len(args) == 0:
		return nil, absent("there is no default identity; say which one: ockam identity show NAME")
	}
	return nil, notFound("identity", name, "there is "+listing(all))
}

// freeName returns a random name that no identity has.
func (s *store) freeName(ctx context.Context) (string, error) {
	for range 1000 {
		name := randomName()
		if _, err := s.Named(ctx, name); errors.Is(err, state.ErrNotFound) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", errors.New("no free name was found; say one: ockam identity create NAME")
}

// listing joins the names of identities for a message.
func listing(all []state.Named) string {
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	return enumerate(names)
}

// A lazyStore opens the store of the user's home when it is first needed: an
// ephemeral node must not write anything.
type lazyStore struct {
	mu    sync.Mutex
	store *state.Store
}

func (l *lazyStore) open() (*state.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		return l.store, nil
	}
	dir, err := state.Home()
	if err != nil {
		return nil, err
	}
	l.store, err = state.Open(context.Background(), dir)
	return l.store, err
}

func (l *lazyStore) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	s := l.store
	l.store = nil
	return s.Close()
}
