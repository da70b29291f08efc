package registry_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

// sealer is AES-256-GCM and HMAC-SHA-256 under one key, as the keyring does it but
// without its store.
type sealer struct {
	aead cipher.AEAD
	key  []byte
}

func newSealer(t testing.TB) sealer {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead, key}
}

func (s sealer) Seal(_ context.Context, plaintext, aad []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, aad), nil
}

func (s sealer) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, aad)
}

func (s sealer) Lookup(_ context.Context, label string, value []byte) ([]byte, error) {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\x00%s", label, value)
	return h.Sum(nil), nil
}

func open(t testing.TB, d *db.DB, s registry.Sealer) *registry.Registry {
	t.Helper()
	r, err := registry.New(registry.Options{DB: d, Sealer: s, Now: func() time.Time { return now }, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func each(t *testing.T, f func(t *testing.T, d *db.DB, r *registry.Registry)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, d, open(t, d, newSealer(t))) })
}

const actor = "operator:li"

var (
	cityAgency = registry.Agency{ID: "jiangcheng-amr", USCC: completeUSCC("11990100MB0000001"), NameZH: "江城市市场监督管理局",
		NameEN: "Jiangcheng Market Regulation", Level: registry.City, Area: "990100", Issuer: "city"}
	districtAgency = registry.Agency{ID: "donghu-amr", USCC: completeUSCC("11990101MB0000002"), NameZH: "东湖区市场监督管理局",
		NameEN: "Donghu Market Regulation", Level: registry.District, Parent: "jiangcheng-amr", Area: "990101", Issuer: "donghu"}
	authority = registry.Authority{Agency: "donghu-amr", Type: "food-business", Area: "990101",
		From: now.Truncate(time.Second), Until: now.AddDate(10, 0, 0).Truncate(time.Second)}
	wang = registry.Person{Kind: registry.Resident, Number: complete("99010119900307001"), Name: "王小明"}
)

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func addAgencies(t testing.TB, r *registry.Registry) {
	t.Helper()
	must(r.AddAgency(t.Context(), actor, cityAgency))(t)
	must(r.AddAgency(t.Context(), actor, districtAgency))(t)
}

// events returns actor and object of the events of a kind, sorted.
func events(t testing.TB, d *db.DB, kind string) (list []string) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
		for _, r := range records {
			list = append(list, r.Actor+" "+r.Object)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func TestNew(t *testing.T) {
	if _, err := registry.New(registry.Options{}); err == nil {
		t.Error("made without a database")
	}
}

func TestAddAgency(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		for i, want := range []bool{true, false, false} {
			if got := must(r.AddAgency(ctx, actor, cityAgency))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		must(r.AddAgency(ctx, actor, districtAgency))(t)
		got := must(r.FindAgency(ctx, "donghu-amr"))(t)
		want := districtAgency
		want.Created = now
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		list := must(r.ListAgencies(ctx))(t)
		if len(list) != 2 || list[0].ID != "donghu-amr" || list[1].ID != "jiangcheng-amr" {
			t.Errorf("listed %v", list)
		}
		if _, err := r.FindAgency(ctx, "nobody"); !errors.Is(err, registry.ErrAgency) {
			t.Errorf("got %v", err)
		}
		if e := events(t, d, "registry.agency.add"); !slices.Equal(e, []string{actor + " agency:donghu-amr", actor + " agency:jiangcheng-amr"}) {
			t.Errorf("events %v", e)
		}
	})
}

func TestAddAgencyRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		addAgencies(t, r)
		for _, c := range []struct {
			name   string
			change func(a *registry.Agency)
			kind   fault.Kind
			path   string
		}{
			{"other name", func(a *registry.Agency) { a.NameZH = "别的局" }, fault.Conflict, ""},
			{"other id, same code", func(a *registry.Agency) { a.ID = "second" }, fault.Conflict, ""},
			{"same id, other code", func(a *registry.Agency) { a.USCC = completeUSCC("11990101MB0000003") }, fault.Conflict, ""},
			{"no id", func(a *registry.Agency) { a.ID = "" }, fault.Invalid, "/id"},
			{"capital id", func(a *registry.Agency) { a.ID = "Donghu" }, fault.Invalid, "/id"},
			{"path in id", func(a *registry.Agency) { a.ID = "../x" }, fault.Invalid, "/id"},
			{"bad code", func(a *registry.Agency) { a.USCC = "1" }, fault.Invalid, "/uscc"},
			{"no name", func(a *registry.Agency) { a.NameEN = "" }, fault.Invalid, "/name_en"},
			{"line break in name", func(a *registry.Agency) { a.NameZH = "东湖\n区" }, fault.Invalid, "/name_zh"},
			{"direction override in name", func(a *registry.Agency) { a.NameZH = "东湖\u202e区" }, fault.Invalid, "/name_zh"},
			{"name not UTF-8", func(a *registry.Agency) { a.NameZH = "\xff" }, fault.Invalid, "/name_zh"},
			{"long name", func(a *registry.Agency) { a.NameZH = strings.Repeat("东", 121) }, fault.Invalid, "/name_zh"},
			{"no level", func(a *registry.Agency) { a.Level = "" }, fault.Invalid, "/area"},
			{"city's area for a district", func(a *registry.Agency) { a.Area = "990100" }, fault.Invalid, "/area"},
			{"district's area for a city", func(a *registry.Agency) { a.Level = registry.City }, fault.Invalid, "/area"},
			{"own parent", func(a *registry.Agency) { a.Parent = a.ID }, fault.Invalid, "/parent"},
			{"unknown parent", func(a *registry.Agency) { a.ID, a.Parent = "third", "nobody" }, fault.Invalid, "/parent"},
			{"district as parent", func(a *registry.Agency) { a.ID, a.Parent = "third", "donghu-amr" }, fault.Invalid, "/parent"},
			{"parent in another city", func(a *registry.Agency) { a.ID, a.Area = "third", "990201" }, fault.Invalid, "/parent"},
			{"successor", func(a *registry.Agency) { a.Successor = "jiangcheng-amr" }, fault.Invalid, "/successor"},
			{"no issuer", func(a *registry.Agency) { a.Issuer = "" }, fault.Invalid, "/issuer"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := districtAgency
				c.change(&a)
				created, err := r.AddAgency(t.Context(), actor, a)
				wantFault(t, err, c.kind, c.path)
				if created {
					t.Error("created")
				}
			})
		}
		if n := len(events(t, d, "registry.agency.add")); n != 2 {
			t.Errorf("%d events, want 2: a refusal left one", n)
		}
	})
}

func wantFault(t testing.TB, err error, kind fault.Kind, path string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v of kind %v, want kind %v", err, fault.KindOf(err), kind)
	}
	named := func(p fault.Problem) bool { return p.Path == path }
	if path != "" && !slices.ContainsFunc(fault.Problems(err), named) {
		t.Errorf("problems %v do not name %s", fault.Problems(err), path)
	}
}

func TestAuthority(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		for i, want := range []bool{true, false} {
			if got := must(r.Authorize(ctx, actor, authority))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		whole := registry.Authority{Agency: "jiangcheng-amr", Type: "food-business", Area: "990100", From: authority.From, Until: authority.Until}
		must(r.Authorize(ctx, actor, whole))(t)
		if diff := cmp.Diff([]registry.Authority{authority, whole}, must(r.ListAuthorities(ctx))(t)); diff != "" {
			t.Error(diff)
		}
		for _, c := range []struct {
			name, agency, licenseType, area string
			at                              time.Time
			want                            bool
		}{
			{"inside", "donghu-amr", "food-business", "990101", now, true},
			{"first moment", "donghu-amr", "food-business", "990101", authority.From, true},
			{"just before", "donghu-amr", "food-business", "990101", authority.From.Add(-time.Microsecond), false},
			{"last moment", "donghu-amr", "food-business", "990101", authority.Until.Add(-time.Microsecond), true},
			{"end", "donghu-amr", "food-business", "990101", authority.Until, false},
			{"the neighbour's area", "donghu-amr", "food-business", "990102", now, false},
			{"the whole city", "donghu-amr", "food-business", "990100", now, false},
			{"another type", "donghu-amr", "teacher", "990101", now, false},
			{"the city in a district", "jiangcheng-amr", "food-business", "990102", now, true},
			{"unknown agency", "nobody", "food-business", "990101", now, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				if got := must(r.MayIssue(ctx, c.agency, c.licenseType, c.area, c.at))(t); got != c.want {
					t.Errorf("got %v", got)
				}
			})
		}
		if n := len(events(t, d, "registry.agency.authorize")); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
}

func TestAuthorizeRefuses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		addAgencies(t, r)
		must(r.Authorize(t.Context(), actor, authority))(t)
		for _, c := range []struct {
			name   string
			change func(a *registry.Authority)
			kind   fault.Kind
			path   string
		}{
			{"another end", func(a *registry.Authority) { a.Until = a.Until.Add(time.Hour) }, fault.Conflict, ""},
			{"unknown agency", func(a *registry.Authority) { a.Agency = "nobody" }, fault.NotFound, ""},
			{"outside the area", func(a *registry.Authority) { a.Area = "990102" }, fault.Invalid, "/area"},
			{"the whole city", func(a *registry.Authority) { a.Area = "990100" }, fault.Invalid, "/area"},
			{"no type", func(a *registry.Authority) { a.Type = "" }, fault.Invalid, "/type"},
			{"ends as it begins", func(a *registry.Authority) { a.Until = a.From }, fault.Invalid, "/until"},
			{"no dates", func(a *registry.Authority) { a.From, a.Until = time.Time{}, time.Time{} }, fault.Invalid, "/from"},
			{"part of a second", func(a *registry.Authority) { a.From = a.From.Add(time.Millisecond) }, fault.Invalid, "/from"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := authority
				c.change(&a)
				_, err := r.Authorize(t.Context(), actor, a)
				wantFault(t, err, c.kind, c.path)
			})
		}
	})
}

func TestSucceed(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		addAgencies(t, r)
		for range 2 {
			if err := r.Succeed(ctx, actor, "donghu-amr", "jiangcheng-amr"); err != nil {
				t.Fatal(err)
			}
		}
		if got := must(r.FindAgency(ctx, "donghu-amr"))(t); got.Successor != "jiangcheng-amr" {
			t.Errorf("successor %q", got.Successor)
		}
		// What was asked for first still counts as the same agency.
		if created := must(r.AddAgency(ctx, actor, districtAgency))(t); created {
			t.Error("created again")
		}
		for _, c := range []struct {
			name, agency, successor string
			kind                    fault.Kind
		}{
			{"circle", "jiangcheng-amr", "donghu-amr", fault.Invalid},
			{"itself", "jiangcheng-amr", "jiangcheng-amr", fault.Invalid},
			{"unknown agency", "nobody", "donghu-amr", fault.NotFound},
			{"unknown successor", "jiangcheng-amr", "nobody", fault.NotFound},
			{"no successor", "jiangcheng-amr", "", fault.NotFound},
			{"no agency", "", "donghu-amr", fault.NotFound},
		} {
			t.Run(c.name, func(t *testing.T) {
				wantFault(t, r.Succeed(ctx, actor, c.agency, c.successor), c.kind, "")
			})
		}
		if n := len(events(t, d, "registry.agency.succeed")); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

// Another replica's view follows within two seconds, and our own at once.
func TestViewsFollow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx, s := t.Context(), newSealer(t)
		one, two := open(t, d, s), open(t, d, s)
		addAgencies(t, one)
		if may := must(two.MayIssue(ctx, "donghu-amr", "food-business", "990101", now))(t); may {
			t.Fatal("allowed before it was")
		}
		must(one.Authorize(ctx, actor, authority))(t)
		if may := must(one.MayIssue(ctx, "donghu-amr", "food-business", "990101", now))(t); !may {
			t.Error("our own change is not seen")
		}
		if list := must(two.ListAuthorities(ctx))(t); len(list) != 1 {
			t.Error("a list is not of now")
		}
		begun := time.Now()
		must(one.AddAgency(ctx, actor, registry.Agency{ID: "jiangcheng-edu", USCC: completeUSCC("11990100MB0000009"), NameZH: "江城市教育局",
			NameEN: "Jiangcheng Education", Level: registry.City, Area: "990100", Issuer: "city"}))(t)
		for {
			if _, err := two.FindAgency(ctx, "jiangcheng-edu"); err == nil {
				break
			}
			if time.Since(begun) > 2*time.Second {
				t.Fatal("not seen within two seconds")
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func TestPeople(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		first, created, err := r.AddPerson(ctx, actor, wang)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		again, created, err := r.AddPerson(ctx, actor, wang)
		if err != nil || created || again != first {
			t.Errorf("again: %v %v %v", again, created, err)
		}
		found := must(r.FindPerson(ctx, wang.Kind, wang.Number))(t)
		want := wang
		want.ID, want.Created = first.ID, now
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
		if _, err := r.FindPerson(ctx, registry.Resident, complete("99010119900307002")); !errors.Is(err, registry.ErrPerson) {
			t.Errorf("got %v", err)
		}
		if _, err := r.FindPerson(ctx, registry.Resident, "1"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("got %v", err)
		}
		// The same number on another kind of document is another person.
		other := registry.Person{Kind: registry.Passport, Number: wang.Number, Name: "Jane Doe"}
		if p, created, err := r.AddPerson(ctx, actor, other); err != nil || !created || p.ID == first.ID {
			t.Errorf("passport: %v %v %v", p, created, err)
		}
		renamed := wang
		renamed.Name = "王大明"
		if _, _, err := r.AddPerson(ctx, actor, renamed); fault.KindOf(err) != fault.Conflict {
			t.Errorf("renamed: %v", err)
		}
		if e := events(t, d, "registry.person.add"); len(e) != 2 || !slices.Contains(e, actor+" person:"+first.ID) {
			t.Errorf("events %v", e)
		}
	})
}

func TestAddPersonRefuses(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *registry.Registry) {
		for _, c := range []struct {
			name   string
			change func(p *registry.Person)
			path   string
		}{
			{"wrong check digit", func(p *registry.Person) { p.Number = p.Number[:17] + "?" }, "/number"},
			{"born tomorrow", func(p *registry.Person) { p.Number = complete("99010120260302001") }, "/number"},
			{"no name", func(p *registry.Person) { p.Name = "" }, "/name"},
			{"NUL in name", func(p *registry.Person) { p.Name = "王\x00明" }, "/name"},
			{"own id", func(p *registry.Person) { p.ID = "mine" }, "/id"},
			{"unknown kind", func(p *registry.Person) { p.Kind = "driver" }, "/number"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := wang
				c.change(&p)
				_, _, err := r.AddPerson(t.Context(), actor, p)
				wantFault(t, err, fault.Invalid, c.path)
			})
		}
		// Born today in China, where it is already the day after 1 March's eve.
		p := wang
		p.Number = complete("99010120260301001")
		if _, _, err := r.AddPerson(t.Context(), actor, p); err != nil {
			t.Errorf("born today: %v", err)
		}
	})
}

func TestFirms(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		var firms []registry.Firm
		for i := range 7 {
			firms = append(firms, registry.Firm{USCC: completeUSCC(fmt.Sprintf("91990101MA000000%d", i)), Name: fmt.Sprintf("江城第%d面馆", i), LegalRep: p.ID})
		}
		for _, f := range firms {
			if created := must(r.AddFirm(ctx, actor, f))(t); !created {
				t.Error("not created")
			}
			if created := must(r.AddFirm(ctx, actor, f))(t); created {
				t.Error("created twice")
			}
		}
		want := firms[0]
		want.Created = now
		if diff := cmp.Diff(want, must(r.FindFirm(ctx, want.USCC))(t)); diff != "" {
			t.Error(diff)
		}
		page := must(r.ListFirms(ctx, firms[1].USCC, 3))(t)
		if len(page) != 3 || page[0].USCC != firms[2].USCC || page[2].USCC != firms[4].USCC {
			t.Errorf("page %v", page)
		}
		for _, c := range []struct {
			name   string
			change func(f *registry.Firm)
			kind   fault.Kind
			path   string
		}{
			{"other name", func(f *registry.Firm) { f.Name = "别的面馆" }, fault.Conflict, ""},
			{"unknown representative", func(f *registry.Firm) { f.LegalRep = "nobody" }, fault.Invalid, "/legal_rep"},
			{"no representative", func(f *registry.Firm) { f.LegalRep = "" }, fault.Invalid, "/legal_rep"},
			{"bad code", func(f *registry.Firm) { f.USCC = "91" }, fault.Invalid, "/uscc"},
			{"no name", func(f *registry.Firm) { f.Name = " " }, fault.Invalid, "/name"},
		} {
			t.Run(c.name, func(t *testing.T) {
				f := firms[0]
				c.change(&f)
				_, err := r.AddFirm(ctx, actor, f)
				wantFault(t, err, c.kind, c.path)
			})
		}
		if _, err := r.FindFirm(ctx, completeUSCC("91990101MA0000099")); !errors.Is(err, registry.ErrFirm) {
			t.Errorf("got %v", err)
		}
		if n := len(events(t, d, "registry.firm.add")); n != len(firms) {
			t.Errorf("%d events", n)
		}
	})
}

// The batch finders take any number, across their chunks, and skip strangers.
func TestBatchFinders(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		var usccs, numbers []string
		for i := range 1100 {
			usccs = append(usccs, completeUSCC(fmt.Sprintf("91990101MA000%04d", i)))
			numbers = append(numbers, complete(fmt.Sprintf("990101199003%02d%03d", 1+i/1000, i%1000)))
		}
		numbers[1099] = wang.Number
		for _, i := range []int{0, 511, 512, 1099} {
			must(r.AddFirm(ctx, actor, registry.Firm{USCC: usccs[i], Name: "面馆", LegalRep: p.ID}))(t)
		}
		err = d.Read(ctx, func(tx db.Tx) error {
			firms, err := r.FindFirms(ctx, tx, usccs)
			if err != nil || len(firms) != 4 || firms[usccs[512]].USCC != usccs[512] {
				t.Errorf("%d firms, %v", len(firms), err)
			}
			people, err := r.FindPeople(ctx, tx, registry.Resident, numbers)
			if err != nil || len(people) != 1 || people[wang.Number].Name != wang.Name {
				t.Errorf("%d people, %v", len(people), err)
			}
			if firms, err := r.FindFirms(ctx, tx, nil); err != nil || len(firms) != 0 {
				t.Errorf("none: %v %v", firms, err)
			}
			_, err = r.FindFirms(ctx, tx, []string{usccs[0], "' OR 1=1 --"})
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("got %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestOperators(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		li := registry.Operator{ID: "li", Name: "李雷", Role: registry.RoleOfficer}
		for i, want := range []bool{true, false} {
			if got := must(r.AddOperator(ctx, "ceremony", li))(t); got != want {
				t.Errorf("attempt %d: created %v", i, got)
			}
		}
		promoted, nobody := li, li
		promoted.Role = registry.RoleOperator
		_, err := r.AddOperator(ctx, "ceremony", promoted)
		wantFault(t, err, fault.Conflict, "")
		nobody.Role = "king"
		_, err = r.AddOperator(ctx, "ceremony", nobody)
		wantFault(t, err, fault.Invalid, "/role")
		li.Created = now
		if diff := cmp.Diff([]registry.Operator{li}, must(r.ListOperators(ctx))(t)); diff != "" {
			t.Error(diff)
		}
		if n := len(events(t, d, "registry.operator.add")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// The same thing added by many at once is there once, with one event.
func TestAddAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids, created := map[string]bool{}, 0
		for range 12 {
			wg.Go(func() {
				p, isNew, err := r.AddPerson(t.Context(), actor, wang)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if ids[p.ID] = true; isNew {
					created++
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 || created != 1 || len(events(t, d, "registry.person.add")) != 1 {
			t.Errorf("%d ids, %d created", len(ids), created)
		}
	})
}

// What is personal stands nowhere in clear: not in a table, a log or an error.
func TestPersonalDataIsSealed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		var log bytes.Buffer
		s := newSealer(t)
		r, err := registry.New(registry.Options{DB: d, Sealer: s, Now: func() time.Time { return now },
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		must(r.AddOperator(ctx, actor, registry.Operator{ID: "li", Name: wang.Name, Role: registry.RoleOfficer}))(t)
		said := fmt.Sprintf("%v %+v %#v %s", p, p, p, p)
		slog.New(slog.NewTextHandler(&log, nil)).Info("test", slog.Any("person", p))
		renamed := wang
		renamed.Name = "王大明"
		_, _, conflict := r.AddPerson(ctx, actor, renamed)
		// Another key, as after a wrong restore, can neither find nor open.
		strange := open(t, d, newSealer(t))
		_, hidden := strange.FindPerson(ctx, wang.Kind, wang.Number)
		if !errors.Is(hidden, registry.ErrPerson) {
			t.Errorf("got %v", hidden)
		}
		_, sealed := strange.ListOperators(ctx)
		if sealed == nil {
			t.Error("opened with another key")
		}
		all := said + log.String() + conflict.Error() + sealed.Error() + dump(t, d)
		for _, canary := range []string{wang.Number, wang.Number[6:14], wang.Name} {
			if strings.Contains(all, canary) {
				t.Errorf("%q stands in clear", canary)
			}
		}
		if !strings.Contains(all, p.ID) {
			t.Error("the dump holds nothing")
		}
	})
}

// A row's sealed data cannot be moved to another row.
func TestSealedDataIsBound(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		other := wang
		other.Number = complete("99010119900307002")
		a, _, errA := r.AddPerson(ctx, actor, wang)
		b, _, errB := r.AddPerson(ctx, actor, other)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		err := d.Update(ctx, func(tx db.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE registry_people SET sealed =
				(SELECT sealed FROM registry_people WHERE id = $1) WHERE id = $2`, a.ID, b.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := r.FindPerson(ctx, other.Kind, other.Number); err == nil {
			t.Errorf("found %v with another's data", p)
		}
	})
}

// dump returns everything that the registry and the log have stored, as text.
func dump(t testing.TB, d *db.DB) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), func(tx db.Tx) error {
		for _, table := range []string{"registry_people", "registry_operators", "audit_events"} {
			rows, err := tx.QueryContext(t.Context(), "SELECT * FROM "+table)
			if err != nil {
				return err
			}
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			for rows.Next() {
				if err := rows.Scan(dest...); err != nil {
					return err
				}
				for _, v := range values {
					if raw, ok := v.([]byte); ok {
						b.Write(raw)
					} else {
						fmt.Fprint(&b, v)
					}
					b.WriteByte('\n')
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
