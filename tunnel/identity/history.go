package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"ockam/tunnel/vault"
)

// A History is the chain of changes of one identity. It has been verified from
// the first to the last signature and does not change: a rotation makes a new
// one. It is safe for concurrent use.
type History struct {
	changes []change // at least one
	encoded []byte
}

// A Change is one link of a history, as it is shown.
type Change struct {
	// Hash names the change; the first one's is the identifier.
	Hash ChangeHash
	// PublicKey speaks for the identity until the next change.
	PublicKey vault.PublicKey
	// RevokePurposeKeys says that earlier purpose keys are revoked. Nothing
	// evaluates it: an attestation always binds to the latest change.
	RevokePurposeKeys bool
	// ValidFrom and ValidUntil bound the attestations that the key signs.
	ValidFrom, ValidUntil Timestamp
}

// change is a link with what it was made of.
type change struct {
	Change
	previous          *ChangeHash
	data              []byte // as received, signed
	signature         signature
	previousSignature *signature
}

// ParseHistory decodes a change history and verifies it: every hash, every
// link and every signature (Ockam protocol, identities, change history). Bytes
// after it are ignored. b is not kept.
func ParseHistory(b []byte) (*History, error) {
	return (&decoder{b}).history()
}

// ParseHistoryText reads the text form, hexadecimal digits of either case and
// nothing else, and verifies what it says.
func ParseHistoryText(s string) (*History, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("identity: a change history in text is hexadecimal digits only")
	}
	return ParseHistory(b)
}

func (d *decoder) history() (*History, error) {
	h := &History{}
	err := d.list(func() error {
		var c change
		err := d.record(2,
			func() error { return d.blob(&c.data) },
			func() error { return d.signature(&c.signature) },
			func() error { return d.optionalSignature(&c.previousSignature) })
		h.changes = append(h.changes, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := h.verify(); err != nil {
		return nil, err
	}
	h.encoded = h.append(nil)
	return h, nil
}

// verify checks all that a history can be checked for without a clock, the
// cheap things first.
func (h *History) verify() error {
	if len(h.changes) == 0 {
		return errors.New("identity: history is empty")
	}
	for i := range h.changes {
		c := &h.changes[i]
		if err := c.decode(); err != nil {
			return fmt.Errorf("identity: change %d: %w", i, err)
		}
		if err := h.link(i); err != nil {
			return err
		}
	}
	for i := range h.changes {
		c := &h.changes[i]
		if i > 0 {
			if err := c.previousSignature.verify(h.changes[i-1].PublicKey, c.Hash); err != nil {
				return fmt.Errorf("identity: change %d is not signed by the key before: %w", i, err)
			}
		}
		if err := c.signature.verify(c.PublicKey, c.Hash); err != nil {
			return fmt.Errorf("identity: change %d is not signed by its own key: %w", i, err)
		}
	}
	return nil
}

// link checks that change i follows the one before. A signature by a previous
// key on the first change is not looked at.
func (h *History) link(i int) error {
	c := &h.changes[i]
	if i == 0 {
		if c.previous != nil {
			return errors.New("identity: the first change names a change before it")
		}
		return nil
	}
	before := &h.changes[i-1]
	switch {
	case c.previous == nil || *c.previous != before.Hash:
		return fmt.Errorf("identity: change %d does not name the change before it", i)
	case c.ValidFrom < before.ValidFrom:
		return fmt.Errorf("identity: change %d is valid from an earlier time than the one before", i)
	case c.previousSignature == nil:
		return fmt.Errorf("identity: change %d lacks the signature of the key before", i)
	}
	return nil
}

// decode reads the signed data of c.
func (c *change) decode() error {
	c.Hash = sha256.Sum256(c.data)
	d, err := versioned(c.data, changeData)
	if err != nil {
		return err
	}
	return d.record(5,
		func() error {
			if d.null() {
				return nil
			}
			c.previous = new(ChangeHash)
			return d.fixed(c.previous[:])
		},
		func() error { return d.signingKey(&c.PublicKey) },
		func() error { return d.boolean(&c.RevokePurposeKeys) },
		func() error { return d.timestamp(&c.ValidFrom) },
		func() error { return d.timestamp(&c.ValidUntil) })
}

// encode makes the data that is to be signed.
func (c *change) encode() []byte {
	b := appendHead(nil, majorArray, 5)
	if c.previous == nil {
		b = append(b, cborNull)
	} else {
		b = appendBytes(b, c.previous[:])
	}
	b = appendSigningKey(b, c.PublicKey)
	if c.RevokePurposeKeys {
		b = append(b, cborTrue)
	} else {
		b = append(b, cborFalse)
	}
	b = appendTimestamp(b, c.ValidFrom)
	b = appendTimestamp(b, c.ValidUntil)
	return encodeVersioned(changeData, b)
}

func (h *History) append(b []byte) []byte {
	b = appendHead(b, majorArray, uint64(len(h.changes)))
	for i := range h.changes {
		c := &h.changes[i]
		if c.previousSignature == nil {
			b = appendHead(b, majorArray, 2)
		} else {
			b = appendHead(b, majorArray, 3)
		}
		b = appendBytes(b, c.data)
		b = c.signature.append(b)
		if c.previousSignature != nil {
			b = c.previousSignature.append(b)
		}
	}
	return b
}

func (h *History) latest() *change { return &h.changes[len(h.changes)-1] }

// Identifier returns the name of the identity.
func (h *History) Identifier() Identifier { return Identifier(h.changes[0].Hash) }

// LatestKey returns the key that speaks for the identity now.
func (h *History) LatestKey() vault.PublicKey { return h.latest().PublicKey }

// LatestHash returns the hash of the latest change.
func (h *History) LatestHash() ChangeHash { return h.latest().Hash }

// Changes returns the changes, the first one first.
func (h *History) Changes() []Change {
	all := make([]Change, len(h.changes))
	for i := range h.changes {
		all[i] = h.changes[i].Change
	}
	return all
}

// Bytes returns a copy of the encoded history: the outer arrays in strict
// form, the signed data as it was received.
func (h *History) Bytes() []byte { return bytes.Clone(h.encoded) }

// Text returns the encoded history in lower-case hex, the form in which people
// pass histories on.
func (h *History) Text() string { return hex.EncodeToString(h.encoded) }

// Relation says how a history compares with another one of the same identity.
type Relation int

// The possible results of [History.Compare].
const (
	// Equal histories have the same changes.
	Equal Relation = iota
	// Newer means that changes were added.
	Newer
	// Older means that changes are missing at the end.
	Older
	// Conflict means that a change differs.
	Conflict
)

// String returns the relation in one word.
func (r Relation) String() string {
	switch r {
	case Equal:
		return "equal"
	case Newer:
		return "newer"
	case Older:
		return "older"
	case Conflict:
		return "conflict"
	default:
		return fmt.Sprintf("Relation(%d)", int(r))
	}
}

// Compare says what h is to the history known so far.
func (h *History) Compare(known *History) Relation {
	for i := range min(len(h.changes), len(known.changes)) {
		if h.changes[i].Hash != known.changes[i].Hash {
			return Conflict
		}
	}
	switch {
	case len(h.changes) > len(known.changes):
		return Newer
	case len(h.changes) < len(known.changes):
		return Older
	default:
		return Equal
	}
}
