package udp

// For the tests of what goes over the wire.
var (
	ParseDatagram  = parseDatagram
	AppendDatagram = appendDatagram
)

// A Datagram is a datagram.
type Datagram = datagram

// MakeDatagram makes one.
func MakeDatagram(number uint16, offset uint32, last bool, part []byte) Datagram {
	return datagram{number: number, offset: offset, last: last, part: part}
}

// Part returns the part.
func (d datagram) Part() []byte { return d.part }

// Held returns how many bytes the socket keeps, and for how many peers.
func (s *Socket) Held() (bytes, peers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, len(s.peers)
}

// AssembleAll feeds datagrams to an assembly and returns the messages.
func AssembleAll(all []Datagram) (messages [][]byte) {
	var a assembly
	for _, d := range all {
		if m, _ := a.add(d, func(int) bool { return true }); m != nil {
			messages = append(messages, append([]byte{}, m...))
		}
	}
	return messages
}

// Limits of a datagram.
const (
	MaxDatagram = maxDatagram
	MaxPart     = maxPart
)
