package authority

import (
	"errors"
	"fmt"
	"strings"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// Segments of paths of the direct authenticator.
const (
	pathMembers = "members"
	pathIDs     = "member_ids"
)

// pageSize is how many members are read, or deleted, at once.
const pageSize = 256

// maxList bounds a list of members in bytes: what fits into a frame of 16 MiB,
// with what channels and links put around it.
const maxList = 15 << 20

// direct answers at the direct authenticator. The leading slash does not matter.
func (a *Authority) direct(c *call) (api.Body, error) {
	segments := strings.Split(strings.TrimLeft(c.req.Path, "/"), "/")
	first := segments[0]
	all := len(segments) == 1 && (first == "" || first == pathMembers)
	id, one := "", false
	switch {
	case len(segments) == 1 && first != "":
		id, one = first, true
	case len(segments) == 2 && first == pathMembers:
		id, one = segments[1], true
	}
	switch m := c.req.Method; {
	case m == api.MethodPost && all:
		return a.addMember(c)
	case m == api.MethodGet && all:
		return a.listMembers(c)
	case m == api.MethodGet && len(segments) == 1 && first == pathIDs:
		return a.listIDs(c)
	case m == api.MethodGet && one:
		return a.showMember(c, id)
	case m == api.MethodDelete && len(segments) == 1 && first == pathMembers:
		return a.deleteMembers(c)
	case m == api.MethodDelete && len(segments) == 1 && first == "":
		return nil, badRequest("whom to delete? DELETE /members deletes everybody")
	case m == api.MethodDelete && one:
		return a.deleteMember(c, id)
	}
	return nil, unknownPath()
}

func (a *Authority) addMember(c *call) (api.Body, error) {
	var add AddMember
	if err := c.body(&add); err != nil {
		return nil, err
	}
	r, err := c.role()
	switch {
	case err != nil:
		return nil, err
	case !r.enroller:
		return nil, forbidden("Non-enroller %v is trying to add a member %v", c.caller, add.Member)
	case isEnroller(add.Attributes) && !r.admin:
		return nil, forbidden("Not pre trusted enroller is trying to create an enroller")
	case add.Member.IsZero():
		return nil, badRequest("an identifier of zeros is nobody's")
	}
	if err := c.mayReplace(r, add.Member); err != nil {
		return nil, err
	}
	if err := c.checkAttributes(add.Attributes); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("added %v with %d attributes", add.Member, len(add.Attributes))
	return nil, stored(a.Store.PutMember(c.ctx, Member{
		Identifier: add.Member, Attributes: add.Attributes, AddedBy: c.caller, AddedAt: identity.At(c.now),
	}))
}

// mayReplace refuses to let an enroller take another's role away by adding it
// without, where only administrators may delete enrollers.
func (c *call) mayReplace(r role, id identity.Identifier) error {
	if r.admin {
		return nil
	}
	m, err := c.a.Store.Member(c.ctx, id)
	switch {
	case errors.Is(err, ErrNotMember):
		return nil
	case err != nil:
		return stored(err)
	case isEnroller(m.Attributes):
		return forbidden("Not admin is trying to replace an enroller")
	}
	return nil
}

// enroller refuses a caller who is none.
func (c *call) enroller(text string) (role, error) {
	r, err := c.role()
	if err == nil && !r.enroller {
		err = forbidden("Non-enroller is trying to %s", text)
	}
	return r, err
}

func entry(m Member) Entry {
	return Entry{Attributes: m.Attributes, AddedAt: m.AddedAt, AttestedBy: m.AddedBy}
}

// listMembers answers with all members. It reads them page by page: others may
// change some meanwhile.
func (a *Authority) listMembers(c *call) (api.Body, error) {
	if _, err := c.enroller("list members"); err != nil {
		return nil, err
	}
	entries, size := make(Entries), 0
	err := a.eachPage(c, func(page []Member) error {
		for _, m := range page {
			e := entry(m)
			b, err := api.Append(nil, &e)
			if err != nil {
				return err
			}
			if size += len(b) + len(m.Identifier) + 2; size > maxList {
				return badRequest("the list takes more than %d bytes: ask for /%s and then for each member", maxList, pathIDs)
			}
			entries[m.Identifier] = e
		}
		return nil
	})
	return &entries, err
}

// eachPage reads all members.
func (a *Authority) eachPage(c *call, f func([]Member) error) error {
	var after identity.Identifier
	for {
		page, err := a.Store.Members(c.ctx, after, pageSize)
		if err != nil {
			return stored(err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := f(page); err != nil {
			return err
		}
		after = page[len(page)-1].Identifier
	}
}

func (a *Authority) listIDs(c *call) (api.Body, error) {
	if _, err := c.enroller("list members"); err != nil {
		return nil, err
	}
	ids, err := a.Store.MemberIDs(c.ctx)
	if err == nil && len(ids)*(len(identity.Identifier{})+2) > maxList {
		return nil, badRequest("the list takes more than %d bytes", maxList)
	}
	return &Identifiers{List: ids}, stored(err)
}

func memberIn(path string) (identity.Identifier, error) {
	id, err := identity.ParseIdentifier(path)
	if err != nil {
		return id, badRequest("%v", err)
	}
	return id, nil
}

func (a *Authority) showMember(c *call, path string) (api.Body, error) {
	id, err := memberIn(path)
	if err != nil {
		return nil, err
	}
	if _, err := c.enroller("retrieve a member"); err != nil {
		return nil, err
	}
	m, err := a.Store.Member(c.ctx, id)
	if errors.Is(err, ErrNotMember) {
		return nil, forbidden("Member %v not found", id)
	} else if err != nil {
		return nil, stored(err)
	}
	e := entry(m)
	return &e, nil
}

func (a *Authority) deleteMember(c *call, path string) (api.Body, error) {
	id, err := memberIn(path)
	if err != nil {
		return nil, err
	}
	r, err := c.enroller("delete a member")
	if err != nil {
		return nil, err
	}
	m, err := a.Store.Member(c.ctx, id)
	switch {
	case errors.Is(err, ErrNotMember):
		return nil, nil
	case err != nil:
		return nil, stored(err)
	case m.PreTrusted:
		return nil, forbidden("Enroller is trying to delete a pre trusted identity")
	case isEnroller(m.Attributes) && !r.admin:
		return nil, forbidden("Not admin is trying to delete an enroller")
	}
	c.did = fmt.Sprintf("deleted %v", id)
	return nil, stored(a.Store.DeleteMembers(c.ctx, id))
}

// deleteMembers deletes all but the caller and those whom the caller may not
// delete.
func (a *Authority) deleteMembers(c *call) (api.Body, error) {
	r, err := c.enroller("delete all members")
	if err != nil {
		return nil, err
	}
	n := 0
	err = a.eachPage(c, func(page []Member) error {
		var ids []identity.Identifier
		for _, m := range page {
			if m.Identifier != c.caller && !m.PreTrusted && (r.admin || !isEnroller(m.Attributes)) {
				ids = append(ids, m.Identifier)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		n += len(ids)
		return stored(a.Store.DeleteMembers(c.ctx, ids...))
	})
	c.did = fmt.Sprintf("deleted %d members", n)
	return nil, err
}
