package registry

import (
	"context"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// Post is what a person does for an agency, or for the city itself if Agency is "".
type Post struct {
	Person  string    // Person.ID
	Agency  string    // "" is the city itself, which has officers only
	Role    string    // web.RoleClerk, web.RoleReviewer, web.RoleOfficer or web.RoleIdentity
	Created time.Time // set by Employ
	Ended   time.Time // zero: it is held; set by Dismiss
}

// Employ gives a person a post and reports whether that was new. It fails with
// kind Invalid for wrong particulars and NotFound for an unknown person or agency.
func (r *Registry) Employ(ctx context.Context, actor string, p Post) (created bool, err error) {
	if err := checkPost(p); err != nil {
		return false, wrap("employ", err)
	}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		if err := knownPost(ctx, tx, p); err != nil {
			return err
		}
		created, err = insert(ctx, tx, postEvent("registry.employ", actor, p), `INSERT INTO registry_posts (id, person, agency, role, created)
			VALUES ($1, $2, NULLIF($3, ''), $4, $5) ON CONFLICT DO NOTHING`, db.NewID(), p.Person, p.Agency, p.Role, db.Micros(r.now()))
		return err
	})
	return created && err == nil, wrap("employ", err)
}

func postEvent(kind, actor string, p Post) audit.Event {
	return audit.Event{Kind: kind, Actor: actor, Object: "person:" + p.Person, Data: map[string]any{"agency": p.Agency, "role": p.Role}}
}

func checkPost(p Post) error {
	c := checker{}
	c.add("/person", slug(p.Person))
	if p.Agency != "" {
		c.add("/agency", slug(p.Agency))
	}
	switch {
	case !slices.Contains([]string{web.RoleClerk, web.RoleReviewer, web.RoleOfficer, web.RoleIdentity}, p.Role):
		c.problem("/role", "is clerk, reviewer, officer or identity")
	case p.Role != web.RoleOfficer && p.Agency == "":
		c.problem("/agency", "is needed: a desk is an agency's")
	}
	if !p.Created.IsZero() || !p.Ended.IsZero() {
		c.problem("/created", "is set by the registry")
	}
	return c.fault("the post is not as it should be")
}

// knownPost finds the person and the agency of a post.
func knownPost(ctx context.Context, tx db.Tx, p Post) error {
	if err := knownPerson(ctx, tx, p.Person); err != nil || p.Agency == "" {
		return err
	}
	found, err := agencies(ctx, tx, p.Agency)
	if err == nil && len(found) == 0 {
		err = ErrAgency
	}
	return err
}

// Dismiss ends a post. Repeating it is harmless. It fails with kind Invalid for
// wrong particulars and NotFound for an unknown person or agency.
func (r *Registry) Dismiss(ctx context.Context, actor, person, agency, role string) error {
	p := Post{Person: person, Agency: agency, Role: role}
	if err := checkPost(p); err != nil {
		return wrap("dismiss", err)
	}
	err := r.db.Update(ctx, func(tx db.Tx) error {
		if err := knownPost(ctx, tx, p); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `UPDATE registry_posts SET ended = $4
			WHERE person = $1 AND COALESCE(agency, '') = $2 AND role = $3 AND ended IS NULL`, person, agency, role, db.Micros(r.now()))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = audit.Append(ctx, tx, postEvent("registry.dismiss", actor, p))
		return err
	})
	return wrap("dismiss", err)
}

// PostsOf returns the posts that a person holds, in the order of agency and role.
// The answer is of now, never from memory. Nobody's list is empty.
func (r *Registry) PostsOf(ctx context.Context, person string) (list []Post, err error) {
	err = r.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT person, COALESCE(agency, ''), role, created FROM registry_posts
			WHERE person = $1 AND ended IS NULL`, person)
		list, err = collect(rows, err, func(p *Post) ([]any, func()) {
			var created int64
			return []any{&p.Person, &p.Agency, &p.Role, &created}, func() { p.Created = db.Time(created) }
		})
		return err
	})
	sortBy(list, func(p Post) string { return p.Agency + "\x00" + p.Role })
	return list, wrap("find posts of person", err)
}
