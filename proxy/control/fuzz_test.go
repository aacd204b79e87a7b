package control_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/api"
)

// seeds adds all recorded messages, and fails if there are none.
func seeds(f *testing.F, add func(request, answer []byte)) {
	f.Helper()
	rec := loadRecording(f)
	for _, e := range append(rec.Items, rec.Probes...) {
		request, err := hex.DecodeString(e.Request)
		if err != nil {
			f.Fatal(err)
		}
		var answer []byte
		if e.Answer != nil {
			if answer, err = hex.DecodeString(*e.Answer); err != nil {
				f.Fatal(err)
			}
		}
		add(request, answer)
	}
}

func FuzzParseRequest(f *testing.F) {
	seeds(f, func(request, _ []byte) { f.Add(request) })
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := api.ParseRequest(b)
		if err != nil {
			return
		}
		enc, err := r.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.ParseRequest(enc)
		if err != nil || s.ID != r.ID || s.Path != r.Path || s.Method != r.Method || s.HasBody != r.HasBody || !bytes.Equal(s.Body, r.Body) {
			t.Errorf("%x: %+v, again %+v, %v", b, r, s, err)
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	seeds(f, func(_, answer []byte) { f.Add(answer) })
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := api.ParseResponse(b)
		if err != nil {
			return
		}
		enc, err := r.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.ParseResponse(enc)
		if err != nil || s.ID != r.ID || s.Re != r.Re || s.Status != r.Status || s.HasBody != r.HasBody || !bytes.Equal(s.Body, r.Body) {
			t.Errorf("%x: %+v, again %+v, %v", b, r, s, err)
		}
		_ = api.ParseError(r).Error()
	})
}

// FuzzBody reads b as a body of the kind-th kind. What is accepted is written,
// read and written again: the two must be the same, well-formed, and one item.
func FuzzBody(f *testing.F) {
	kinds := make([]string, 0, len(codecs))
	for kind := range codecs {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	n := 0
	for _, v := range vectors(f) {
		f.Add(uint8(slices.Index(kinds, v.kind)), v.enc)
	}
	seeds(f, func(request, answer []byte) {
		for i, kind := range kinds {
			if r, err := api.ParseRequest(request); err == nil {
				if _, _, err := codecs[kind](r.Body); err == nil {
					f.Add(uint8(i), r.Body)
					n++
				}
			}
			if a, err := api.ParseResponse(answer); err == nil {
				if _, _, err := codecs[kind](a.Body); err == nil {
					f.Add(uint8(i), a.Body)
					n++
				}
			}
		}
	})
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		codec := codecs[kinds[int(kind)%len(kinds)]]
		first, _, err := codec(b)
		if err != nil {
			return
		}
		if len(first) == 0 {
			t.Fatalf("%x: accepted but not written", b)
		}
		second, rest, err := codec(first)
		if err != nil || len(rest) != 0 || !bytes.Equal(first, second) {
			t.Fatalf("%x: %x, again %x, %v", b, first, second, err)
		}
		mode, err := cbor.DecOptions{MaxNestedLevels: 65535}.DecMode()
		if err != nil {
			t.Fatal(err)
		}
		if err := mode.Wellformed(first); err != nil {
			t.Fatalf("%x: %x: %v", b, first, err)
		}
	})
}
