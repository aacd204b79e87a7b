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

// MaxAttributes is the largest size in bytes of a member's attributes, encoded as
// in a credential with what the authority adds: a credential must fit into a
// handshake message of 65,535 bytes, beside the history and the key of its bearer.
const MaxAttributes = 60 << 10

// Errors of a Store. Whatever else it returns is about the database.
var (
	// ErrNotMember means that there is no such member.
	ErrNotMember = errors.New("authority: not a member")
	// ErrAlreadyMember means that who redeems a code is a member already.
	ErrAlreadyMember = errors.New("authority: already a member")
	// ErrUnknownCode means that the code was never issued, has expired or been
	// used up, or that who issued it is no enroller any more.
	ErrUnknownCode = errors.New("authority: unknown enrollment code")
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

// IsEnroller reports whether the member may manage members.
func (m *Member) IsEnroller() bool { return isEnroller(m.Attributes) }

// A Token is an enrollment that can be redeemed.
type Token struct {
	Code       Code
	Reference  string // of ten characters, for logs
	IssuedBy   identity.Identifier
	CreatedAt  identity.Timestamp
	ExpiresAt  identity.Timestamp // from then on there is none
	Uses       uint64             // that are left; at least 1
	Attributes map[string]string
	// ByAdmin says that the account authority made the issuer an administrator,
	// who needs not be a member. Else it must be an enroller when the token is used.
	ByAdmin bool
}

// A Store keeps the members and tokens of one authority. Each method is one
// transaction; what it has confirmed survives a crash. It is safe for concurrent
// use, also by several processes that run the same authority.
//
// What goes in and what comes out is shared with nobody: a store copies.
type Store interface {
	// Member returns a member, or ErrNotMember.
	Member(ctx context.Context, id identity.Identifier) (Member, error)
	// Members returns the first n members with an identifier above after, in
	// order of identifiers. The zero identifier is below all.
	Members(ctx context.Context, after identity.Identifier, n int) ([]Member, error)
	// MemberIDs returns the identifiers of all members, in order.
	MemberIDs(ctx context.Context) ([]identity.Identifier, error)
	// PutMember adds a member, or replaces attributes, AddedBy and AddedAt of the
	// one there is; a pre-trusted one stays so. Member.PreTrusted is ignored.
	PutMember(ctx context.Context, m Member) error
	// DeleteMembers deletes members, if there are such, and the tokens that they
	// have issued. Pre-trusted ones stay.
	DeleteMembers(ctx context.Context, ids ...identity.Identifier) error
	// SetPreTrusted makes these the pre-trusted members, whatever their
	// PreTrusted says, in place of the members of the same identifiers; all
	// others that were pre-trusted are no members any more.
	SetPreTrusted(ctx context.Context, members []Member) error
	// PutToken stores a new token.
	PutToken(ctx context.Context, t Token) error
	// Redeem makes by a member with the attributes of the token of the code,
	// added by who issued it, and takes one use from the token, all at now. It
	// returns ErrAlreadyMember, without using the token, or ErrUnknownCode, also
	// when it expires at now or before, or who issued it may not do so any more:
	// is no enroller, and was no administrator (Token.ByAdmin).
	Redeem(ctx context.Context, code Code, by identity.Identifier, now identity.Timestamp) (Member, error)
}
