package vault_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"ockam/tunnel/vault"
)

// load reads a file recorded from the reference implementation (revision
// fb8fb64cd).
func load(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHandles(t *testing.T) {
	var file struct {
		Keys []struct{ Name, Type, Secret, Handle, Public string }
	}
	load(t, "keys.json", &file)
	if len(file.Keys) == 0 {
		t.Fatal("no vectors")
	}
	for _, k := range file.Keys {
		t.Run(k.Name, func(t *testing.T) {
			kt, err := vault.ParseKeyType(k.Type)
			if err != nil {
				t.Fatal(err)
			}
			v := vault.NewMemory()
			pub, err := v.Import(kt, unhex(t, k.Secret))
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(pub.Bytes); got != k.Public {
				t.Errorf("public key %s, want %s", got, k.Public)
			}
			if got := pub.Handle().String(); got != k.Handle {
				t.Errorf("handle %s, want %s", got, k.Handle)
			}
			if again, err := v.PublicKey(pub.Handle()); err != nil || !again.Equal(pub) {
				t.Errorf("PublicKey = %v, %v, want %v", again, err, pub)
			}
		})
	}
}

func TestP256SignsAsTheReference(t *testing.T) {
	var file struct {
		Signatures []struct{ Secret, Public, Input, Signature string } `json:"p256_signatures"`
	}
	load(t, "signatures.json", &file)
	if len(file.Signatures) == 0 {
		t.Fatal("no vectors")
	}
	for i, s := range file.Signatures {
		v := vault.NewMemory()
		pub, err := v.Import(vault.P256, unhex(t, s.Secret))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(pub.Bytes); got != s.Public {
			t.Errorf("%d: public key %s, want %s", i, got, s.Public)
		}
		sig, err := v.Sign(pub.Handle(), unhex(t, s.Input))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sig); got != s.Signature {
			t.Errorf("%d: signature %s, want %s", i, got, s.Signature)
		}
		if err := vault.Verify(pub, unhex(t, s.Input), sig); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestVerifyOddInput(t *testing.T) {
	type row struct {
		Name, Public, Message, Signature string
		Accepted                         bool
	}
	var file struct {
		Ed25519 []row `json:"ed25519_verification"`
		P256    []row `json:"p256_verification"`
	}
	load(t, "signatures.json", &file)
	for kt, rows := range map[vault.KeyType][]row{vault.Ed25519: file.Ed25519, vault.P256: file.P256} {
		if len(rows) == 0 {
			t.Fatal("no vectors")
		}
		for _, r := range rows {
			pub := vault.PublicKey{Type: kt, Bytes: unhex(t, r.Public)}
			err := vault.Verify(pub, unhex(t, r.Message), unhex(t, r.Signature))
			if (err == nil) != r.Accepted {
				t.Errorf("%v, %s: got %v, want accepted %v", kt, r.Name, err, r.Accepted)
			}
		}
	}
}

func TestAgree(t *testing.T) {
	var file struct {
		X25519 []struct {
			Name, Secret, Shared string
			Peer                 string `json:"peer_public"`
		} `json:"x25519"`
	}
	load(t, "signatures.json", &file)
	if len(file.X25519) == 0 {
		t.Fatal("no vectors")
	}
	v := vault.NewMemory()
	for _, r := range file.X25519 {
		pub, err := v.Import(vault.X25519, unhex(t, r.Secret))
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Agree(pub.Handle(), unhex(t, r.Peer))
		if strings.Trim(r.Shared, "0") == "" { // the reference goes on with such a result; we do not
			if !errors.Is(err, vault.ErrBadKey) {
				t.Errorf("%s: got %v, want ErrBadKey", r.Name, err)
			}
			continue
		}
		if err != nil || hex.EncodeToString(got) != r.Shared {
			t.Errorf("%s: got %x, %v, want %s", r.Name, got, err, r.Shared)
		}
	}
}

func TestGenerate(t *testing.T) {
	v := vault.NewMemory()
	data := []byte("data")
	for _, kt := range []vault.KeyType{vault.Ed25519, vault.P256, vault.X25519} {
		pub, err := v.Generate(kt)
		if err != nil {
			t.Fatal(err)
		}
		if pub.Type != kt || len(pub.Bytes) != kt.PublicSize() {
			t.Errorf("%v: got a %v key of %d bytes", kt, pub.Type, len(pub.Bytes))
		}
		if kt == vault.X25519 {
			if _, err := v.Sign(pub.Handle(), data); !errors.Is(err, vault.ErrKeyType) {
				t.Errorf("Sign with X25519: %v, want ErrKeyType", err)
			}
			if err := vault.Verify(pub, data, make([]byte, 64)); !errors.Is(err, vault.ErrKeyType) {
				t.Errorf("Verify with X25519: %v, want ErrKeyType", err)
			}
		} else {
			sig, err := v.Sign(pub.Handle(), data)
			if err != nil || len(sig) != vault.SignatureSize {
				t.Fatalf("%v: Sign gave %d bytes, %v", kt, len(sig), err)
			}
			if err := vault.Verify(pub, data, sig); err != nil {
				t.Errorf("%v: %v", kt, err)
			}
			if err := vault.Verify(pub, []byte("date"), sig); !errors.Is(err, vault.ErrBadSignature) {
				t.Errorf("%v: other data: %v, want ErrBadSignature", kt, err)
			}
			if _, err := v.Agree(pub.Handle(), make([]byte, 32)); !errors.Is(err, vault.ErrKeyType) {
				t.Errorf("%v: Agree: %v, want ErrKeyType", kt, err)
			}
		}
		if err := v.Delete(pub.Handle()); err != nil {
			t.Error(err)
		}
		if _, err := v.PublicKey(pub.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
			t.Errorf("%v: after Delete: %v, want ErrUnknownKey", kt, err)
		}
		if err := v.Delete(pub.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
			t.Errorf("%v: second Delete: %v, want ErrUnknownKey", kt, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	v := vault.NewMemory()
	tests := []struct {
		name   string
		t      vault.KeyType
		secret []byte
		want   error
	}{
		{"no such type", 9, make([]byte, 32), vault.ErrKeyType},
		{"short seed", vault.Ed25519, make([]byte, 31), vault.ErrBadKey},
		{"long seed", vault.Ed25519, make([]byte, 64), vault.ErrBadKey},
		{"empty", vault.X25519, nil, vault.ErrBadKey},
		{"scalar 0", vault.P256, make([]byte, 32), vault.ErrBadKey},
		{"scalar above the order", vault.P256, bytes.Repeat([]byte{0xff}, 32), vault.ErrBadKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := v.Import(tt.t, tt.secret); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := v.Generate(0); !errors.Is(err, vault.ErrKeyType) {
		t.Errorf("Generate(0): %v, want ErrKeyType", err)
	}
	if err := vault.Verify(vault.PublicKey{}, nil, make([]byte, 64)); !errors.Is(err, vault.ErrKeyType) {
		t.Errorf("Verify with no key: %v, want ErrKeyType", err)
	}
	if err := vault.Verify(vault.PublicKey{Type: vault.Ed25519}, nil, make([]byte, 64)); !errors.Is(err, vault.ErrBadKey) {
		t.Errorf("Verify with an empty key: %v, want ErrBadKey", err)
	}
}

// recorder keeps the slices that pass through it, to see that they are wiped.
type recorder struct {
	vault.Secrets
	seen [][]byte
}

func (r *recorder) Put(h vault.Handle, t vault.KeyType, secret []byte) error {
	r.seen = append(r.seen, secret)
	return r.Secrets.Put(h, t, secret)
}

func (r *recorder) Get(h vault.Handle) (vault.KeyType, []byte, error) {
	t, secret, err := r.Secrets.Get(h)
	r.seen = append(r.seen, secret)
	return t, secret, err
}

func TestCopiesAreWiped(t *testing.T) {
	r := &recorder{Secrets: vault.NewMemory().Secrets}
	v := &vault.Software{Secrets: r}
	sk, err := v.Generate(vault.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	dk, err := v.Generate(vault.X25519)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Sign(sk.Handle(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Agree(dk.Handle(), dk.Bytes); err != nil {
		t.Fatal(err)
	}
	if _, err := v.PublicKey(sk.Handle()); err != nil {
		t.Fatal(err)
	}
	if len(r.seen) != 5 {
		t.Fatalf("%d secrets seen, want 5", len(r.seen))
	}
	for i, s := range r.seen {
		if !bytes.Equal(s, make([]byte, vault.SecretSize)) {
			t.Errorf("copy %d was not wiped", i)
		}
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	v := vault.NewMemory()
	const text = "0123456789abcdef0123456789abcdef"
	secret := []byte(text)
	pub, err := v.Import(vault.Ed25519, secret)
	if err != nil {
		t.Fatal(err)
	}
	js, _ := json.Marshal(v)
	var out strings.Builder
	out.Write(js)
	type holder struct{ v vault.Vault }
	for _, x := range []any{v, *v, v.Secrets, holder{v}, &holder{v}, pub} {
		for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, f, x)
		}
	}
	for _, leak := range []string{text, hex.EncodeToString(secret), fmt.Sprintf("%d", secret)[1:60], "0x30, 0x31, 0x32"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("a secret is printed: %s", &out)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	v := vault.NewMemory()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				pub, err := v.Generate(vault.Ed25519)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := v.Sign(pub.Handle(), nil); err != nil {
					t.Error(err)
				}
				if err := v.Delete(pub.Handle()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
