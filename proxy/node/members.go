package node

import (
	"context"

	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// keptMembers are the members of an authority, and stores the histories of those who
// turn out to be members. Every request of a member looks it up.
type keptMembers struct {
	authority.Store
	peers *peers
}

func (k keptMembers) Member(ctx context.Context, id identity.Identifier) (authority.Member, error) {
	m, err := k.Store.Member(ctx, id)
	if err == nil {
		err = k.peers.keep(id)
	}
	return m, err
}

func (k keptMembers) PutMember(ctx context.Context, m authority.Member) error {
	if err := k.Store.PutMember(ctx, m); err != nil {
		return err
	}
	return k.peers.keep(m.Identifier)
}

func (k keptMembers) Redeem(ctx context.Context, code authority.Code, by identity.Identifier, now identity.Timestamp) (authority.Member, error) {
	m, err := k.Store.Redeem(ctx, code, by, now)
	if err == nil {
		err = k.peers.keep(by)
	}
	return m, err
}
