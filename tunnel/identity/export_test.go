package identity

// DecodeVersioned decodes signed data of any type and encodes it again.
func DecodeVersioned(b []byte) ([]byte, error) {
	d := &decoder{b}
	var v, t byte
	var data []byte
	err := d.versioned(&v, &t, &data)
	return encodeVersioned(dataType(t), data), err
}
