package web

import (
	"context"
	"slices"
	"time"
)

// Identity is who is signed in on a page. The provider of sign-in makes it (see
// SiteOptions); nothing in it is a secret.
type Identity struct {
	Session  string    // names the session; its cookie cannot be made of it
	Person   string    // id in the registry
	Name     string    // as it stands in the page's head
	ACR      string    // how sure it is: see oidc/login
	AMR      []string  // by which methods, RFC 8176
	AuthTime time.Time // when the person was proved
	Firm     string    // USCC of the firm that the person acts for, "" for none
	FirmName string
	Chosen   bool // the person has said whom they act for in this session
	Roles    []Role
}

// Role is what a person does for an agency.
type Role struct {
	Agency string
	Name   string // RoleClerk, RoleReviewer, RoleOfficer or RoleIdentity
}

// The roles that pages ask for.
const (
	RoleClerk    = "clerk"    // works at a licence desk
	RoleReviewer = "reviewer" // a clerk who takes the steps that a licence type keeps for reviewers
	RoleOfficer  = "officer"  // answers for the keys
	RoleIdentity = "identity" // proves people anew at an identity desk
)

// Agencies returns the agencies at which the person has the role, in order.
func (i *Identity) Agencies(role string) []string {
	var list []string
	for _, r := range i.Roles {
		if r.Name == role {
			list = append(list, r.Agency)
		}
	}
	slices.Sort(list)
	return list
}

type identityKey struct{}

// IdentityOf returns who is signed in, nil for nobody. It works inside handlers
// that a Pages made.
func IdentityOf(ctx context.Context) *Identity {
	id, _ := ctx.Value(identityKey{}).(*Identity)
	return id
}

// WithIdentity returns a context in which IdentityOf finds id.
func WithIdentity(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}
