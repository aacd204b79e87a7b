package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Names that every request binds (Ockam protocol, policies, environment).
const (
	resourceID        = "resource.id"
	actionID          = "action.id"
	subjectPrefix     = "subject."
	subjectIdentifier = subjectPrefix + "identifier"
	subjectCredential = subjectPrefix + "has_credential"
)

// A Request is the environment in which a node evaluates policies: who wants
// to do what with which resource. It is an Env.
//
// An attribute cannot take the place of the subject's identifier, nor of
// whether it has a credential. (In the reference implementation it can.)
type Request struct {
	// Resource is the name of the resource: resource.id.
	Resource string
	// Action is what is to be done: action.id.
	Action Action
	// Subject is the identifier that a secure channel proved:
	// subject.identifier, unbound if empty.
	Subject string
	// Authority says that an authority applies. If none does,
	// subject.has_credential and all attributes are unbound.
	Authority bool
	// Credential says that there are attributes of the subject from that
	// authority, and that they have not expired: subject.has_credential.
	Credential bool
	// Attributes are these attributes: subject.NAME. Those whose name or
	// value is not UTF-8 are unbound. The map is borrowed and only read.
	Attributes map[string]string
}

// Lookup returns what a name is bound to in the request.
func (r *Request) Lookup(name string) (Expr, bool) {
	switch name {
	case resourceID:
		return NewString(r.Resource), true
	case actionID:
		return NewString(r.Action.String()), true
	case subjectIdentifier:
		return NewString(r.Subject), r.Subject != ""
	case subjectCredential:
		return NewBool(r.Credential), r.Authority
	}
	attribute, ok := strings.CutPrefix(name, subjectPrefix)
	if !ok || !r.Authority || !r.Credential {
		return Expr{}, false
	}
	value, ok := r.Attributes[attribute]
	if !ok || !utf8.ValidString(attribute) || !utf8.ValidString(value) {
		return Expr{}, false
	}
	return NewString(value), true
}

// NeedsAuthority reports whether e speaks of what only an authority can say: an
// attribute of the subject, or whether it has a credential. Without an authority
// these are unbound.
func (e Expr) NeedsAuthority() bool {
	if e.Kind == Ident {
		return strings.HasPrefix(e.Text, subjectPrefix) && e.Text != subjectIdentifier
	}
	return slices.ContainsFunc(e.Items, Expr.NeedsAuthority)
}
