// Package authority has what makes somebody a member of a project: the services
// of an authority, which knows the members, enrolls new ones by one-time codes
// and issues credentials that say what they are (Ockam protocol, authority), the
// Client that asks them, and the Retriever that keeps a node's own credential
// fresh. It does not run a node (proxy/node), and keeps members where its user
// says (Store).
//
// In all services the caller is who the secure channel proved; no request says
// who sends it.
package authority

import (
	"context"
	"errors"

	"ockam/tunnel/identity"
)

// Names of the services of an authority (Ockam protocol, authority, services).
const (
	CredentialIssuer    = "credential_issuer"
	DirectAuthenticator = "direct_authenticator"
	TokenIssuer         = "enrollment_token_issuer"
	TokenAcceptor       = "enrollment_token_acceptor"
)

// Attributes that mean something to an authority or a project.
const (
	// AttributeRole is "enroller" for who may manage members.
	AttributeRole = "ockam-role"
	RoleEnroller  = "enroller"
	// AttributeRelay names the relay that its bearer may register, "*" for any.
	AttributeRelay = "ockam-relay"
	// AttributeContext is the project's identifier, which old nodes look at.
	AttributeContext = "trust_context_id"
	// AttributeCertificate is "true" for who may have a TLS certificate.
	AttributeCertificate = "ockam-tls-certificate"
)

// Errors of a Store.
var (
	// ErrNotMember means that there is no such member.
	ErrNotMember = errors.New("authority: not a member")
	// ErrAlreadyMember means that who redeems a code is a member already.
	ErrAlreadyMember = errors.New("authority: already a member")
	// ErrUnknownCode means that the code was never issued, or has expired or
	// been used up.
	ErrUnknownCode = errors.New("authority: unknown enrollment code")
	// ErrPreTrusted means that the member stands in the authority's configuration
	// and cannot be deleted.
	ErrPreTrusted = errors.New("authority: the member is pre-trusted")
)

// A Member is somebody who gets credentials.
type Member struct {
	Identifier identity.Identifier
	Attributes map[string]string
	AddedBy    identity.Identifier
	AddedAt    identity.Timestamp
	// PreTrusted says that the member stands in the authority's configuration.
	PreTrusted bool
}

// A Token is an enrollment that can be redeemed.
type Token struct {
	Code       Code
	Reference  string // of ten characters, for logs
	IssuedBy   identity.Identifier
	CreatedAt  identity.Timestamp
	ExpiresAt  identity.Timestamp // from then on there is none
	Uses       uint64             // that are left; at least 1
	Attributes map[string]string
}

// A Store keeps members and tokens. Several authorities may share one. Each
// method is one transaction; what it has confirmed survives a crash. It is safe
// for concurrent use.
type Store interface {
	// Member returns a member, or ErrNotMember.
	Member(ctx context.Context, id identity.Identifier) (Member, error)
	// Members returns all members, ordered by identifier.
	Members(ctx context.Context) ([]Member, error)
	// MemberIDs returns the identifiers of all members, in order.
	MemberIDs(ctx context.Context) ([]identity.Identifier, error)
	// PutMember adds a member, or replaces attributes, AddedBy and AddedAt of the
	// one there is; a pre-trusted one stays so.
	PutMember(ctx context.Context, m Member) error
	// DeleteMember deletes a member, if there is one. A pre-trusted one is
	// ErrPreTrusted.
	DeleteMember(ctx context.Context, id identity.Identifier) error
	// SetPreTrusted replaces all pre-trusted members by these.
	SetPreTrusted(ctx context.Context, members []Member) error
	// PutToken stores a token.
	PutToken(ctx context.Context, t Token) error
	// Redeem makes by a member with the attributes of the token of the code, which
	// has then one use less, all at now. It returns ErrAlreadyMember, without
	// using the token, or ErrUnknownCode. Tokens that have expired are deleted.
	Redeem(ctx context.Context, code Code, by identity.Identifier, now identity.Timestamp) (Member, error)
}
