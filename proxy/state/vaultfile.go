package state

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ockam/tunnel/vault"
)

// The file of a vault is text: a first line, the vault's random name, a line
// for each key, a last line. It is never changed: a new one takes its place.
const (
	vaultFirstLine = "ockam vault 1"
	vaultLastLine  = "end"
	vaultIDSize    = 16
)

var errVaultFile = errors.New("it is not the file of a vault, or it is damaged")

// A vaultFile is the content of the file of a vault.
type vaultFile struct {
	id   string // in hex
	keys map[vault.Handle]fileKey
}

type fileKey struct {
	t      vault.KeyType
	secret []byte
}

func (f *vaultFile) wipe() {
	for _, k := range f.keys {
		clear(k.secret)
	}
}

// encode returns the content of the file; the caller wipes it.
func (f *vaultFile) encode() []byte {
	const perLine = 2*32 + 2*vault.SecretSize + 64
	b := make([]byte, 0, 128+perLine*len(f.keys)) // large enough: growing would leave secrets behind
	b = fmt.Appendf(b, "%s\n%s\n", vaultFirstLine, f.id)
	handles := make([]vault.Handle, 0, len(f.keys))
	for h := range f.keys {
		handles = append(handles, h)
	}
	slices.Sort(handles)
	for _, h := range handles {
		b = append(append(append(append(b, h.String()...), ' '), f.keys[h].t.String()...), ' ')
		b = append(hex.AppendEncode(b, f.keys[h].secret), '\n')
	}
	return append(b, vaultLastLine+"\n"...)
}

// parseVault decodes the content of a file. It keeps nothing of b.
func parseVault(b []byte) (*vaultFile, error) {
	first, b, _ := bytes.Cut(b, []byte{'\n'})
	id, b, _ := bytes.Cut(b, []byte{'\n'})
	if string(first) != vaultFirstLine || len(id) != 2*vaultIDSize {
		return nil, errVaultFile
	}
	f := &vaultFile{id: string(id), keys: map[vault.Handle]fileKey{}}
	for {
		line, rest, found := bytes.Cut(b, []byte{'\n'})
		if found && string(line) == vaultLastLine && len(rest) == 0 {
			return f, nil
		}
		h, k, err := parseKey(line)
		if !found || err != nil {
			f.wipe()
			return nil, errVaultFile
		}
		f.keys[h], b = k, rest
	}
}

func parseKey(line []byte) (h vault.Handle, k fileKey, err error) {
	parts := bytes.Split(line, []byte{' '})
	if len(parts) != 3 || len(parts[0]) != 64 || len(parts[2]) != 2*vault.SecretSize {
		return "", k, errVaultFile
	}
	handle := make([]byte, 32)
	k.secret = make([]byte, vault.SecretSize)
	_, err = hex.Decode(handle, parts[0])
	if err == nil {
		_, err = hex.Decode(k.secret, parts[2])
	}
	if err == nil {
		k.t, err = vault.ParseKeyType(string(parts[1]))
	}
	return vault.Handle(handle), k, err
}

// readVault reads the file of a vault; the caller wipes the result.
func readVault(path string) (*vaultFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	f, err := parseVault(b)
	if err != nil {
		return nil, fmt.Errorf("state: %s: %w: put a copy of it in its place", path, err)
	}
	return f, nil
}

// writeVault puts a complete file in the place of the one at path or, if it is
// to be a new one, where none is; then the error is os.ErrExist if one is.
func writeVault(path string, f *vaultFile, isNew bool) (err error) {
	tmp := unfinished(path)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }() // fails if it has its name
	b := f.encode()
	defer clear(b)
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if isNew {
		err = linkNew(tmp, path)
	} else {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// unfinished is where the file of a vault is written. Who does holds the write
// lock of the database; what a crash leaves there is removed by the next one.
func unfinished(path string) string {
	return filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path))
}

// linkNew gives a file another name unless there is a file of that name.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, os.ErrExist) || errors.Is(err, os.ErrNotExist) {
		return err
	}
	// A file system without links.
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(os.ErrExist, err)
	}
	return os.Rename(from, to)
}

// fileSecrets is a vault.Secrets in a file. Who changes it holds the write
// lock of the database; the lock of the file itself keeps other homes out
// which, being copies of this one, share the file.
type fileSecrets struct{ path string }

func (s fileSecrets) Put(h vault.Handle, t vault.KeyType, secret []byte) error {
	return s.change(func(f *vaultFile) error {
		clear(f.keys[h].secret)
		f.keys[h] = fileKey{t, bytes.Clone(secret)}
		return nil
	})
}

func (s fileSecrets) Get(h vault.Handle) (vault.KeyType, []byte, error) {
	f, err := readVault(s.path)
	if err != nil {
		return 0, nil, err
	}
	defer f.wipe()
	k, ok := f.keys[h]
	if !ok {
		return 0, nil, vault.ErrUnknownKey
	}
	return k.t, bytes.Clone(k.secret), nil
}

func (s fileSecrets) Delete(h vault.Handle) error {
	return s.change(func(f *vaultFile) error {
		k, ok := f.keys[h]
		if !ok {
			return vault.ErrUnknownKey
		}
		clear(k.secret)
		delete(f.keys, h)
		return nil
	})
}

func (s fileSecrets) change(fn func(*vaultFile) error) error {
	unlock, err := lockFile(s.path)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := readVault(s.path)
	if err != nil {
		return err
	}
	defer f.wipe()
	if err := fn(f); err != nil {
		return err
	}
	return writeVault(s.path, f, false)
}
