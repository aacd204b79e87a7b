package authority_test

import (
	"testing"

	"go.uber.org/goleak"

	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryStore(t *testing.T) {
	authoritytest.Run(t, func(*testing.T) authority.Store { return new(authority.MemoryStore) })
}
