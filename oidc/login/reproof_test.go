package login_test

import (
	"encoding/base32"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

var (
	deskCodePattern = regexp.MustCompile(`<code>([2-9A-HJKMNP-Z]{5}-[2-9A-HJKMNP-Z]{5})</code>`)
	confirmPattern  = regexp.MustCompile(`name="confirm" value="([^"]+)"`)
	proofPattern    = regexp.MustCompile(`name="proof" value="([^"]+)"`)
	idPattern       = regexp.MustCompile(`name="id" value="([^"]+)"`)
)

// identityClerk is somebody at an identity desk, signed in by passkey.
func (c *city) identityClerk(t testing.TB, username string) (*person, *client, *authenticator) {
	t.Helper()
	p, b, a := c.enrolled(t, username)
	_, err := c.registry.Employ(t.Context(), actor, registry.Post{Person: p.id, Agency: c.agency.ID, Role: web.RoleIdentity})
	check(t, err)
	want(t, b.presentAgain(a), 200)
	return p, b, a
}

// number is that of a person's document.
func (c *city) number(t testing.TB, p *person) string {
	t.Helper()
	found, err := c.registry.PersonByID(t.Context(), p.id)
	check(t, err)
	return found.Number
}

// find looks a person up at the desk and returns what is to be confirmed.
func (c *city) find(t testing.TB, clerk *client, p *person) string {
	t.Helper()
	a := clerk.post("/desk/identity", "kind", "passport", "number", c.number(t, p))
	want(t, a, 200, "Compare with the person", "<dd>王小明</dd>")
	if strings.Contains(a.body, c.number(t, p)) || strings.Contains(a.body, p.id) || strings.Contains(a.body, p.username) {
		t.Error("the desk's page says more than the name")
	}
	return confirmPattern.FindStringSubmatch(a.body)[1]
}

// deskCode gets a code for a person.
func (c *city) deskCode(t testing.TB, clerk *client, p *person) string {
	t.Helper()
	a := clerk.post("/desk/identity/begin", "confirm", c.find(t, clerk, p), "seen", "1")
	want(t, a, 200, "Donghu Market Regulation", "/login/code")
	if strings.Contains(a.body, p.username) || strings.Contains(text(a.body), "王小明") {
		t.Error("the paper says whose it is")
	}
	return deskCodePattern.FindStringSubmatch(a.body)[1]
}

// decodeKey returns the secret that a page shows in groups.
func decodeKey(t testing.TB, shown string) []byte {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(shown, " ", ""))
	check(t, err)
	return secret
}

// setting is what the page after the right code asks for, filled in.
func (c *city) setting(t testing.TB, b *client, code string) (q *person, form []string) {
	t.Helper()
	a := b.post("/login/code", "code", code)
	want(t, a, 200, "Choose a new password")
	secret := decodeKey(t, keyPattern.FindStringSubmatch(a.body)[1])
	q = &person{password: fresh, totp: secret}
	return q, []string{"proof", proofPattern.FindStringSubmatch(a.body)[1], "offer", offerPattern.FindStringSubmatch(a.body)[1],
		"password", fresh, "again", fresh, "otp", c.code(q, 0)}
}

func TestReproof(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		clerk, desk, _ := c.identityClerk(t, "clerk")
		p, elsewhere, key := c.enrolled(t, "wang")
		recovery := elsewhere.codes()
		waiting := c.client(t)
		want(t, waiting.post("/login/recover", "username", "wang", "code", recovery[0]), 303)
		want(t, desk.get("/account"), 200, "/desk/identity")
		code := c.deskCode(t, desk, p)
		want(t, desk.get("/desk/identity"), 200, "Codes of yours that still work")
		want(t, elsewhere.get("/account"), 200, "An identity desk saw you", "Donghu Market Regulation")

		b := c.client(t)
		want(t, b.get("/login/code"), 200, "go to an identity desk")
		c.clock.add(23 * time.Hour)
		want(t, elsewhere.get("/account"), 303)
		want(t, elsewhere.present(key), 200)
		_, unused := c.setting(t, b, strings.ToLower(strings.ReplaceAll(code, "-", " "))) // as people type it
		q, form := c.setting(t, b, code)
		if !cmp.Equal(form[1], unused[1]) || cmp.Equal(form[3], unused[3]) {
			t.Error("looking twice is no longer the same code, or the same key")
		}
		for name, change := range map[string][2]string{"password": {"short", "8 to 128 characters"}, "again": {"another one", "The two passwords differ"},
			"otp": {c.code(p, 0), "The code is not correct"}} {
			bad := slices.Clone(form)
			bad[slices.Index(bad, name)+1] = change[0]
			want(t, b.post("/login/code/finish", bad...), 400, change[1], "wang")
		}
		if c.identity(t, elsewhere) == nil {
			t.Fatal("what was refused has ended a session")
		}
		want(t, b.post("/login/code/finish", form...), 303, "/login/code?done=1")
		want(t, b.get("/login/code?done=1"), 200, "You have your account back")

		if c.identity(t, b) != nil || c.identity(t, elsewhere) != nil {
			t.Error("a session is left, or begun")
		}
		want(t, c.client(t).present(key), 403)
		want(t, c.client(t).post("/login/recover", "username", "wang", "code", recovery[1]), 400)
		want(t, waiting.get("/login/recover"), 200, "Enter your username")
		want(t, b.post("/login/code", "code", code), 400, "was used")
		want(t, b.post("/login/code/finish", form...), 409, "Nothing was changed")
		c.clock.add(time.Minute)
		want(t, b.signIn(p, c.code(p, 0)), 400, uniform)
		q.username = "wang"
		want(t, b.signIn(q, c.code(q, 0)), 303)
		want(t, b.get("/account"), 200, "The account was set up anew with a desk&#39;s code", "Donghu Market Regulation")
		if n := c.count(t, `SELECT COUNT(*) FROM login_passkeys WHERE person = $1`, p.id); n != 0 {
			t.Errorf("%d passkeys are left", n)
		}
		if n := c.count(t, `SELECT COUNT(*) FROM login_codes`) + c.count(t, `SELECT COUNT(*) FROM login_recoveries WHERE ended = 0`); n != 0 {
			t.Errorf("%d codes and recoveries are left", n)
		}
		if diff := cmp.Diff([]string{"identity.reproof.begin", "identity.reproof.use", "login.account.reproofed"},
			c.events(t, "identity.reproof.begin", "identity.reproof.use", "identity.reproof.cancel", "login.account.reproofed")); diff != "" {
			t.Error(diff)
		}
		if c.metric(t, "signet_login_reproofs_total", "begun") != 1 || c.metric(t, "signet_login_reproofs_total", "used") != 1 {
			t.Error("not counted")
		}
		if n := c.count(t, `SELECT COUNT(*) FROM login_reproofs WHERE clerk = $1 AND person = $2`, clerk.id, p.id); n != 1 {
			t.Errorf("%d rows", n)
		}
		c.clock.add(24 * time.Hour)
		check(t, c.service.Sweep(t.Context()))
		if n := c.count(t, `SELECT COUNT(*) FROM login_reproofs`); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// TestReproofClerk: who may not, and when.
func TestReproofClerk(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		clerk, desk, key := c.identityClerk(t, "clerk")
		p := c.citizen(t, "wang")
		number := c.number(t, p)

		want(t, c.client(t).get("/desk/identity"), 303, "/login?next=%2Fdesk%2Fidentity")
		other, b, otherKey := c.enrolled(t, "other")
		for _, role := range []string{"", web.RoleClerk, web.RoleOfficer} {
			if role != "" {
				_, err := c.registry.Employ(t.Context(), actor, registry.Post{Person: other.id, Agency: c.agency.ID, Role: role})
				check(t, err)
			}
			want(t, b.presentAgain(otherKey), 200)
			want(t, b.get("/desk/identity"), 403, "no post at an identity desk")
			want(t, b.post("/desk/identity", "kind", "passport", "number", number), 403)
			want(t, b.post("/desk/identity/begin", "confirm", c.find(t, desk, p), "seen", "1"), 403)
			want(t, b.post("/desk/identity/cancel", "id", "x"), 403)
		}
		for name, form := range map[string][3]string{ // status, part of the answer
			"nobody's":          {"passport", "E99999999", "Nobody is registered"},
			"another kind":      {"taiwan", number, "Nobody is registered"},
			"no number":         {"passport", "", "not one of such a document"},
			"wrong check":       {"resident", "990101197604180078", "not one of such a document"},
			"their own":         {"passport", c.number(t, clerk), "You cannot do this for yourself"},
			"without account":   {"passport", "E00000001", "no account that is open"}, // the firm's legal representative
			"with a full width": {"passport", "Ｅ" + number[1:], "Compare with the person"},
		} {
			t.Run(name, func(t *testing.T) {
				a := desk.post("/desk/identity", "kind", form[0], "number", form[1])
				status := 400
				if strings.HasPrefix(form[2], "Compare") {
					status = 200
				}
				want(t, a, status, form[2])
			})
		}
		want(t, desk.post("/desk/identity", "kind", "library-card", "number", number), 400)

		confirm := c.find(t, desk, p)
		want(t, desk.post("/desk/identity/begin", "confirm", confirm), 400, "Confirm that you have seen")
		want(t, desk.post("/desk/identity/begin", "confirm", confirm[:20], "seen", "1"), 303, "/desk/identity")
		_, colleague, _ := c.identityClerk(t, "colleague")
		want(t, colleague.post("/desk/identity/begin", "confirm", confirm, "seen", "1"), 303, "/desk/identity")
		c.clock.add(10 * time.Minute)
		want(t, desk.post("/desk/identity/begin", "confirm", confirm, "seen", "1"), 303, "/desk/identity")
		confirm = c.find(t, desk, p)
		check(t, c.service.Disable(t.Context(), actor, p.id))
		want(t, desk.post("/desk/identity/begin", "confirm", confirm, "seen", "1"), 404, "no account that is open")
		want(t, desk.post("/desk/identity", "kind", "passport", "number", number), 400, "no account that is open")
		check(t, c.service.Enable(t.Context(), actor, p.id))

		c.clock.add(5*time.Minute + time.Second) // 15 minutes since the passkey was shown
		for _, a := range []answer{desk.get("/desk/identity"), desk.post("/desk/identity", "kind", "passport", "number", number),
			desk.post("/desk/identity/begin", "confirm", confirm, "seen", "1"), desk.post("/desk/identity/cancel", "id", "x")} {
			want(t, a, 303)
			if !strings.HasPrefix(a.next, "/login?acr=urn%3Asignet%3Aacr%3Aphishing-resistant&next=%2Fdesk%2Fidentity&reauth=1") {
				t.Errorf("leads to %s", a.next)
			}
		}
		weak := c.client(t)
		want(t, weak.signIn(clerk, c.code(clerk, 0)), 303)
		want(t, weak.get("/desk/identity"), 303)
		want(t, desk.presentAgain(key), 200)
		check(t, c.registry.Dismiss(t.Context(), actor, clerk.id, c.agency.ID, web.RoleIdentity))
		want(t, desk.get("/desk/identity"), 403)
		if e := c.events(t, "identity.reproof.begin"); len(e) != 0 {
			t.Errorf("events %v", e)
		}
	})
}

// TestReproofOnce: a page that is sent twice shows one code once; another code voids the
// first; a desk withdraws its own; a clerk gives out twenty in a day.
func TestReproofOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, desk, key := c.identityClerk(t, "clerk")
		p := c.citizen(t, "wang")
		confirm := c.find(t, desk, p)
		a := desk.post("/desk/identity/begin", "confirm", confirm, "seen", "1")
		first := deskCodePattern.FindStringSubmatch(a.body)[1]
		again := desk.post("/desk/identity/begin", "confirm", confirm, "seen", "1")
		want(t, again, 409, "has been shown")
		if deskCodePattern.MatchString(again.body) {
			t.Error("another code is shown")
		}
		b := c.client(t)
		_, form := c.setting(t, b, first)
		second := c.deskCode(t, desk, p)
		want(t, b.post("/login/code", "code", first), 400, "The code is not correct")
		want(t, b.post("/login/code/finish", form...), 409, "Nothing was changed")
		_, form = c.setting(t, b, second)
		id := idPattern.FindStringSubmatch(desk.get("/desk/identity").body)[1]

		far := registry.Agency{ID: "xishan-amr", USCC: completeUSCC("11990102MB0000003"), NameZH: "西山区市场监督管理局", NameEN: "Xishan", Level: registry.District, Area: "990102", Issuer: "xishan"}
		_, err := c.registry.AddAgency(t.Context(), actor, far)
		check(t, err)
		x, elsewhere, otherKey := c.enrolled(t, "other")
		_, err = c.registry.Employ(t.Context(), actor, registry.Post{Person: x.id, Agency: far.ID, Role: web.RoleIdentity})
		check(t, err)
		want(t, elsewhere.presentAgain(otherKey), 200)
		want(t, elsewhere.post("/desk/identity/cancel", "id", id), 303)
		want(t, b.post("/login/code", "code", second), 200) // another desk's
		want(t, desk.post("/desk/identity/cancel", "id", id), 303, "/desk/identity?done=1")
		want(t, desk.post("/desk/identity/cancel", "id", id), 303)
		want(t, b.post("/login/code", "code", second), 400)
		want(t, b.post("/login/code/finish", form...), 409)
		if diff := cmp.Diff([]string{"identity.reproof.begin", "identity.reproof.begin", "identity.reproof.cancel", "identity.reproof.cancel"},
			c.events(t, "identity.reproof.begin", "identity.reproof.cancel")); diff != "" {
			t.Error(diff)
		}
		if got := c.kinds(t, p); !slices.Equal(got[:2], []login.Kind{login.ReproofCancelled, login.ReproofBegun}) {
			t.Errorf("history %v", got)
		}
		for range login.ReproofsPerClerk - 2 {
			c.deskCode(t, desk, p)
		}
		want(t, desk.post("/desk/identity/begin", "confirm", c.find(t, desk, p), "seen", "1"), 403, "as many as you may")
		c.clock.add(24 * time.Hour)
		want(t, desk.present(key), 200)
		c.deskCode(t, desk, p)
	})
}

// TestReproofCodeRefused: one sentence for whatever is wrong, bounded per address on
// all replicas together, and for nobody who is disabled.
func TestReproofCodeRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, desk, _ := c.identityClerk(t, "clerk")
		p := c.citizen(t, "wang")
		code := c.deskCode(t, desk, p)
		b := c.client(t)
		want(t, b.post("/login/code", "code", " "), 400, "Enter the code")
		for name, bad := range map[string]string{"short": code[:10], "long": code + "2", "a lookalike": "O" + code[1:], "swapped": code[1:2] + code[:1] + code[2:],
			"not UTF-8": code + "\xff", "very long": strings.Repeat("2", 63), "a good one of nobody": login.ReproofCodeOf("222222222")} {
			if bad == code {
				continue // its first two characters are alike
			}
			t.Run(name, func(t *testing.T) {
				want(t, b.post("/login/code", "code", bad), 400, "The code is not correct, was used, or is too old")
			})
		}
		_, form := c.setting(t, b, code)
		for name, bad := range map[string][2]string{"no offer": {"offer", ""}, "another's": {"proof", "x"}, "a recovery's": {"proof", "reproof:" + form[1]}} {
			t.Run(name, func(t *testing.T) {
				f := slices.Clone(form)
				f[slices.Index(f, bad[0])+1] = bad[1]
				want(t, b.post("/login/code/finish", f...), 303, "/login/code")
			})
		}
		check(t, c.service.Disable(t.Context(), actor, p.id))
		want(t, b.post("/login/code", "code", code), 400)
		want(t, b.post("/login/code/finish", form...), 409)
		check(t, c.service.Enable(t.Context(), actor, p.id))

		c.clock.add(time.Hour)
		bases := []string{c.issuer, c.replica(t), c.replica(t)}
		wrong := login.ReproofCodeOf("333333333")
		for i := range login.CodeAddressTries {
			b.base = bases[i%len(bases)]
			want(t, b.post("/login/code", "code", wrong), 400)
		}
		for _, base := range bases {
			b.base = base
			a := b.post("/login/code", "code", code)
			want(t, a, 429, "Too many tries")
			if a.header.Get("Retry-After") == "" {
				t.Error("does not say until when")
			}
		}
		c.clock.add(login.TriesWindow)
		for range login.CodeAddressTries + 5 { // what is right is no try
			want(t, b.post("/login/code", "code", code), 200)
		}
		c.clock.add(24 * time.Hour)
		want(t, b.post("/login/code", "code", code), 400)
	})
}

// TestReproofRace: of many who use one code on two replicas one wins, whatever they do
// at the same time; and of two clerks who make codes for one person both may, but one
// code works.
func TestReproofRace(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, desk, _ := c.identityClerk(t, "clerk")
		_, colleague, _ := c.identityClerk(t, "colleague")
		p := c.citizen(t, "wang")
		bases := []string{c.issuer, c.replica(t)}
		for round := range 4 {
			confirms := []string{c.find(t, desk, p), c.find(t, colleague, p)}
			codes := make([]string, 2)
			var wg sync.WaitGroup
			for i, b := range []*client{desk, colleague} {
				wg.Go(func() {
					if a := b.post("/desk/identity/begin", "confirm", confirms[i], "seen", "1"); a.status == 200 {
						codes[i] = deskCodePattern.FindStringSubmatch(a.body)[1]
					} else {
						t.Errorf("status %d", a.status)
					}
				})
			}
			wg.Wait()
			good := ""
			for _, code := range codes {
				if c.client(t).post("/login/code", "code", code).status == 200 {
					good += code
				}
			}
			if len(good) != 11 {
				t.Fatalf("of two codes these work: %q", good)
			}
			forms := make([][]string, 8)
			for i := range forms {
				_, forms[i] = c.setting(t, c.client(t), good)
			}
			statuses := make([]int, len(forms))
			for i, form := range forms {
				wg.Go(func() {
					b := c.client(t)
					b.base = bases[i%2]
					statuses[i] = b.post("/login/code/finish", form...).status
				})
			}
			wg.Wait()
			slices.Sort(statuses)
			if want := []int{303, 409, 409, 409, 409, 409, 409, 409}; !cmp.Equal(statuses, want) {
				t.Fatalf("statuses %v", statuses)
			}
			if e := c.events(t, "identity.reproof.use"); len(e) != round+1 {
				t.Errorf("%d used", len(e))
			}
			c.clock.add(time.Minute)
		}
	})
}

// TestReproofEndsChanges: what a stranger began in a session of the account, when the
// owner gets it back, is not finished after.
func TestReproofEndsChanges(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, desk, _ := c.identityClerk(t, "clerk")
		for round := range 6 {
			p := c.citizen(t, fmt.Sprint("wang", round))
			code := c.deskCode(t, desk, p)
			owner, b := c.client(t), make([]*client, 4)
			for i := range b {
				b[i] = c.client(t)
				c.clock.add(30 * time.Second)
				want(t, b[i].signIn(p, c.code(p, 0)), 303)
			}
			q, form := c.setting(t, owner, code)
			q.username = p.username
			key := newAuthenticator(t, c.issuer)
			made := key.create(t, b[0].challenge("/account/passkeys/begin"), "")
			var wg sync.WaitGroup
			var done answer
			wg.Go(func() { done = owner.post("/login/code/finish", form...) })
			wg.Go(func() { b[0].json("/account/passkeys/finish", made) })
			wg.Go(func() { b[1].post("/account/password", "password", "a stranger's", "again", "a stranger's") })
			wg.Go(func() { b[2].post("/account/codes") })
			wg.Go(func() { b[3].get("/account") })
			wg.Wait()
			want(t, done, 303)
			if n := c.count(t, `SELECT COUNT(*) FROM login_passkeys WHERE person = $1`, p.id) + c.count(t, `SELECT COUNT(*) FROM login_codes WHERE person = $1`, p.id) +
				c.count(t, `SELECT COUNT(*) FROM login_sessions WHERE person = $1`, p.id); n != 0 {
				t.Errorf("%d passkeys, codes and sessions are left", n)
			}
			c.clock.add(time.Minute)
			want(t, owner.signIn(q, c.code(q, 0)), 303)
		}
	})
}
