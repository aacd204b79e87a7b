package relay

import "sync"

// A Claim is a name with its owner: an identifier, or what stands for a link
// that proved none.
type Claim struct {
	Name  string
	Owner string
	// Lost is called once if the name is lost before it was given back: its
	// owner registered it elsewhere, or the lease ran out. It is called without
	// locks and must not block.
	Lost func()
}

// A Registry keeps the names. Memory is that of a single relay; a fleet of
// relays keeps them in a database with leases. Its methods do not block: one
// that must ask other machines answers later.
type Registry interface {
	// Claim takes the name for its owner and calls done, once, now or later. A
	// name that another owner has stays with that one: ErrTaken. A name that
	// the same owner has moves to the new claim; the old one is lost.
	Claim(c *Claim, done func(error))
	// Owner returns who has the name, as far as is known here.
	Owner(name string) (owner string, ok bool)
	// Release gives the name back if this claim still has it.
	Release(c *Claim)
}

// Memory is a Registry in memory. The zero value is ready.
type Memory struct {
	mu     sync.Mutex
	claims map[string]*Claim
}

// Claim takes the name; see Registry.
func (r *Memory) Claim(c *Claim, done func(error)) {
	old, err := r.claim(c)
	if old != nil && old.Lost != nil {
		old.Lost()
	}
	done(err)
}

func (r *Memory) claim(c *Claim) (lost *Claim, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.claims[c.Name]
	if old != nil && old.Owner != c.Owner {
		return nil, ErrTaken
	}
	if r.claims == nil {
		r.claims = make(map[string]*Claim)
	}
	r.claims[c.Name] = c
	if old == c {
		return nil, nil
	}
	return old, nil
}

// Owner returns who has the name; see Registry.
func (r *Memory) Owner(name string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.claims[name]
	if c == nil {
		return "", false
	}
	return c.Owner, true
}

// Release gives the name back; see Registry.
func (r *Memory) Release(c *Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.claims[c.Name] == c {
		delete(r.claims, c.Name)
	}
}
