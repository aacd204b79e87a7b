package tunnel

// A Path is an established way to another node: a link, or a channel over one.
type Path interface {
	// Send sends m along m.Onward, which begins with an address of the node at
	// the far end. It borrows m until it returns. It blocks while there is no
	// room, at most until the link gives up (transports.StallTimeout).
	Send(m *Message) error
	// Origin is what the messages that come back over this path have as
	// theirs. It tells when the path is lost, and whom it proved.
	Origin() *Origin
}

// A Carrier is a Path into whose queue a message can be written in place. First
// room is claimed, which may block; then, without blocking, the draft is begun,
// filled and committed, at last flushed. A channel begins, fills and commits
// under its lock, so that the order of its nonces is the order on the wire; no
// lock is held while anybody waits or writes.
type Carrier interface {
	Path
	// Claim waits for room for a message with a payload of n bytes and returns
	// how much it took, to be given to Begin or Unclaim.
	Claim(n int) (claim int, err error)
	// Unclaim gives back what Claim took.
	Unclaim(claim int)
	// Begin places a message with a payload of n bytes, which the caller fills
	// in before it calls Commit. On error the claim is given back.
	Begin(claim int, onward, ret Route, n int) (Draft, error)
	// Commit says that the draft is complete. It does not write, so that it
	// may be called under a lock.
	Commit(d Draft)
	// Flush writes what is committed, unless somebody does already. It does not
	// block: what the network does not take at once is left to the link. Call
	// it after Commit, without a lock.
	Flush()
}

// A Draft is a message that is being written where it will be sent from.
type Draft struct {
	Payload []byte // to be filled by the caller
	seg     *segment
}
