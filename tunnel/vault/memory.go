package vault

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// NewMemory returns a vault that keeps its keys in memory only; they end with
// the process.
func NewMemory() *Software { return &Software{Secrets: &memory{keys: map[Handle]stored{}}} }

// memory is a Secrets for ephemeral identities and tests.
type memory struct {
	mu   sync.Mutex
	keys map[Handle]stored
}

type stored struct {
	t      KeyType
	secret []byte
}

// Format keeps secrets out of every kind of printing.
func (m *memory) Format(f fmt.State, _ rune) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = io.WriteString(f, fmt.Sprintf("vault.memory(%d keys)", len(m.keys)))
}

// Put stores a copy of secret.
func (m *memory) Put(h Handle, t KeyType, secret []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.keys[h].secret)
	m.keys[h] = stored{t, bytes.Clone(secret)}
	return nil
}

// Get returns a copy of a secret.
func (m *memory) Get(h Handle) (KeyType, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[h]
	if !ok {
		return 0, nil, ErrUnknownKey
	}
	return k.t, bytes.Clone(k.secret), nil
}

// Delete wipes a secret and forgets it.
func (m *memory) Delete(h Handle) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[h]
	if !ok {
		return ErrUnknownKey
	}
	clear(k.secret)
	delete(m.keys, h)
	return nil
}
