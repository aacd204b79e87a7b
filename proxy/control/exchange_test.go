package control_test

import (
	"testing"

	"ockam/proxy/control"
	"ockam/tunnel"
	"ockam/tunnel/api"
)

// FuzzExchange sends a request to a server whose node is a client of a node that
// gives the answer. Whatever the two are, a request that can be read has one
// answer, which can be read, and any other has none.
func FuzzExchange(f *testing.F) {
	n := 0
	seeds(f, func(request, answer []byte) {
		f.Add(request, answer)
		n++
	})
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, request, answer []byte) {
		far, near := tunnel.NewRouter(), tunnel.NewRouter()
		if answer == nil {
			answer = []byte{}
		}
		h := &hand{router: far, answer: func([]byte) []byte { return answer }}
		s := control.NewServer(near, &control.Client{Router: far})
		var answers [][]byte
		handle(t, far, control.Address, h)
		handle(t, near, control.Address, s)
		handle(t, near, "asker", tunnel.HandlerFunc(func(m *tunnel.Message) error {
			answers = append(answers, append([]byte(nil), m.Payload...))
			m.Release()
			return nil
		}))
		m := tunnel.NewMessage()
		m.Onward = tunnel.NewRoute(tunnel.LocalAddress(control.Address))
		m.Return = tunnel.NewRoute(tunnel.LocalAddress("asker"))
		m.Payload = request
		sent := near.Send(m)
		s.Close() // waits for the answer
		r, err := api.ParseRequest(request)
		if err != nil {
			if sent == nil || len(answers) != 0 {
				t.Errorf("%x cannot be read (%v) and was answered %x", request, err, answers)
			}
			return
		}
		if sent != nil || len(answers) != 1 {
			t.Fatalf("%x: %v, answers %x", request, sent, answers)
		}
		a, err := api.ParseResponse(answers[0])
		if err != nil || a.Re != r.ID || a.ID == 0 || a.Status == 0 {
			t.Errorf("%x: answer %x: %+v, %v", request, answers[0], a, err)
		}
	})
}

func handle(t *testing.T, r *tunnel.Router, name string, h tunnel.Handler) {
	t.Helper()
	if _, err := r.Handle(tunnel.LocalAddress(name), h, tunnel.Access{}); err != nil {
		t.Fatal(err)
	}
}
