package tunnel

import "context"

// Ask sends payload along p and the route behind it, with a new address as the
// way back, and returns the payload of the first message that comes to it: a
// copy. Only what comes over p is taken. If p is nil the route begins with a
// worker of this node, and the answer may come from workers of this node and
// from the sources given.
//
// It returns why p was lost when it is, and the context's error when that ends
// first. A message that nobody takes has no answer.
func Ask(ctx context.Context, r *Router, p Path, route Route, payload []byte, from ...Source) ([]byte, error) {
	q := question{answer: make(chan []byte, 1)}
	var lost <-chan struct{}
	if p != nil {
		q.origin = p.Origin()
		from, lost = []Source{q.origin}, q.origin.Done()
	}
	reg, err := r.Handle(RandomAddress(), q, Access{Open: from})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	m := NewMessage()
	m.Onward, m.Return, m.Payload = route, NewRoute(reg.Address()), payload
	if p == nil {
		err = r.Send(m)
	} else {
		err = p.Send(m)
		m.Release()
	}
	if err != nil {
		return nil, err
	}
	select {
	case b := <-q.answer:
		return b, nil
	case <-lost:
		return nil, q.origin.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A question takes the first answer.
type question struct {
	origin *Origin // nil: of anybody who gets in
	answer chan []byte
}

func (q question) HandleMessage(m *Message) error {
	defer m.Release()
	if q.origin != nil && m.Origin != q.origin { // this node's workers get in everywhere
		return ErrNotOpen
	}
	select {
	case q.answer <- append([]byte(nil), m.Payload...):
	default:
	}
	return nil
}
