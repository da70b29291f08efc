package console_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

func appendEvent(ctx context.Context, tx db.Tx, kind, actor, object string) ([]string, error) {
	return audit.Append(ctx, tx, audit.Event{Kind: kind, Actor: actor, Object: object})
}

var codeOnPage = regexp.MustCompile(`<code>([A-Za-z0-9_-]{43})</code>`)

// draw draws the code that a request gives leave for.
func (c *city) draw(who, id string) string {
	c.t.Helper()
	a := c.post(who, "/security/requests/"+id+"/code").want(200, "It is shown this once.")
	if a.header.Get("Cache-Control") != "no-store" {
		c.t.Error("a page with a code may be kept")
	}
	m := codeOnPage.FindStringSubmatch(a.body)
	if m == nil {
		c.t.Fatalf("there is no code: %s", a.text)
	}
	return m[1]
}

// enrol enrols a passkey as the script does.
func (c *city) enrol(who, code string) answer {
	c.t.Helper()
	var o approval.PasskeyOptions
	a := c.script(who, "/security/officers/passkey/begin", map[string]string{"code": code})
	if a.status != 200 {
		return a
	}
	a.decode(&o)
	p := newAuthenticator(c.t, c.base)
	e := p.create(c.t, o)
	a = c.script(who, "/security/officers/passkey/finish", map[string]any{"code": code, "id": e.ID, "client_data": e.ClientData, "attestation": e.Attestation, "name": "In the safe"})
	if a.status == 201 {
		c.passkeys[who] = p
	}
	return a
}

// TestNewOfficer goes the whole way: asked for, approved, code, passkey, approving.
func TestNewOfficer(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.get("ann", "/security/officers").want(200, "宋晚晴 (you)", "白沐阳", "罗景行", "No credential yet", "Ask for it to be replaced", "Add a security officer")
		before := c.ask("ann", "red")
		id := c.askFor("ann", approval.KindAdd, "person", c.ids["dan"])
		c.get("bob", "/security/requests/"+id).want(200, "New officer 林若川 ("+c.ids["dan"]+")", "About 林若川")
		c.approve("bob", id).want(200)
		c.get("ann", "/security/requests/"+id).want(200).lacks("Draw the code")
		c.get("bob", "/security/requests/"+id).want(200, "Draw the code")
		for _, who := range []string{"ann", "cai", "dan"} {
			c.post(who, "/security/requests/"+id+"/code").want(404, "no enrolment code for you")
		}
		old := c.draw("bob", id)
		code := c.draw("bob", id)
		c.enrol("dan", old).want(403, "the enrolment code is wrong")
		c.enrol("cai", code).want(403, "the enrolment code is wrong")
		c.enrol("dan", strings.Repeat("A", 43)).want(403, "the enrolment code is wrong")
		c.enrol("dan", "").want(403, "the enrolment code is wrong")
		c.enrol("dan", " "+code+"\n").want(201, "/security/officers?done=enrol")
		c.enrol("dan", code).want(403, "the enrolment code is wrong")
		c.post("bob", "/security/requests/"+id+"/code").want(404)
		c.get("dan", "/security/officers?done=enrol").want(200, "The approval credential is enrolled.", "In the safe")

		// Only what was asked for since may they approve.
		c.get("dan", "/security/requests/"+before).want(200, "only who was an officer when the request was made").lacks("With your passkey")
		c.script("dan", "/security/requests/"+before+"/begin", struct{}{}).want(403)
		c.approve("dan", c.ask("ann", "red")).want(200)
	})
}

// TestReplaceCredential: what an officer has lost is replaced by two others.
func TestReplaceCredential(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.passkeys["cai"] = nil
		c.enrol("cai", c.codes["cai"]).want(201)
		var list []approval.Officer = must2(c.approvals.Officers(t.Context()))
		var lost string
		for _, o := range list {
			if o.Person == c.ids["cai"] {
				lost = o.Credentials[0].ID
			}
		}
		path := "/security/requests/new/officer.enrol?person=" + c.ids["cai"] + "&remove=" + lost
		if a := c.get("ann", path).want(200, "罗景行"); strings.Count(a.body, " selected>") != 2 {
			t.Errorf("the form is not filled in:\n%s", a.body)
		}
		id := c.askFor("ann", approval.KindEnrol, "person", c.ids["cai"], "remove", lost)
		if q := c.wantState(id, approval.Open); string(q.Params) != `{"person":"`+c.ids["cai"]+`","remove":["`+lost+`"]}` {
			t.Errorf("params %s", q.Params)
		}
		c.get("cai", "/security").want(200, "Waiting for other officers", "Enrol an officer")
		c.get("cai", "/security/requests/"+id).want(200, "the request is about this officer").lacks("With your passkey")
		c.script("cai", "/security/requests/"+id+"/begin", struct{}{}).want(403)
		c.approve("bob", id).want(200)
		old := c.passkeys["cai"]
		c.enrol("cai", c.draw("bob", id)).want(201)
		red := c.ask("ann", "red")
		st := must2(c.approvals.Statement(t.Context(), red, c.ids["cai"]))
		challenge := approval.Challenge(st)
		c.script("cai", "/security/requests/"+red+"/finish", old.get(t, challenge[:])).want(403, "the signature was not accepted")
		c.approve("cai", red).want(200)
		c.post("ann", "/security/requests/new/officer.enrol", "request-key", "k", "request-reason", "x", "person", c.ids["cai"], "remove", lost).want(400, "Choose one of the list")
	})
}

func publicPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// TestCredentials: the key of the command line, and giving up one's own.
func TestCredentials(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, der := newKey(t)
		big, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		must(t, err)
		other := must2(x509.MarshalPKIXPublicKey(big.Public()))
		code := c.codes["cai"]
		const path = "/security/officers/key"
		for name, one := range map[string]struct {
			pairs  []string
			status int
			says   string
		}{
			"nothing":        {nil, 400, "This is needed"},
			"no code":        {[]string{"key", publicPEM(der)}, 400, "This is needed"},
			"no PEM":         {[]string{"code", code, "key", "ssh-rsa AAAA"}, 400, "no public key or certificate in PEM"},
			"two keys":       {[]string{"code", code, "key", publicPEM(der) + publicPEM(der)}, 400, "no public key or certificate in PEM"},
			"a private key":  {[]string{"code", code, "key", strings.ReplaceAll(publicPEM(der), "PUBLIC", "PRIVATE")}, 400, "no public key or certificate in PEM"},
			"another curve":  {[]string{"code", code, "key", publicPEM(other)}, 400, "P-256"},
			"no key in it":   {[]string{"code", code, "key", publicPEM([]byte("x"))}, 400, "neither a public key nor a certificate"},
			"wrong code":     {[]string{"code", "wrong", "key", publicPEM(der)}, 403, "the enrolment code is wrong"},
			"used code":      {[]string{"code", c.codes["ann"], "key", publicPEM(der)}, 403, "the enrolment code is wrong"},
			"a strange name": {[]string{"code", code, "key", publicPEM(der), "name", "a\x00b"}, 400, "at most 40 visible characters"},
		} {
			t.Run(name, func(t *testing.T) {
				c.t = t
				c.post("cai", path, one.pairs...).want(one.status, one.says).lacks(code)
			})
		}
		c.t = t
		c.post("cai", path, "code", " "+code+" ", "key", publicPEM(der), "name", "laptop").to("/security/officers?done=enrol")
		c.post("cai", path, "code", code, "key", publicPEM(der)).want(403)
		c.get("cai", "/security/officers").want(200, "laptop", "Command-line key")
		c.get("cai", "/security/requests/"+c.ask("ann", "red")).want(200, "You have no passkey for approvals yet.")

		var ids = map[string]string{}
		for _, o := range must2(c.approvals.Officers(t.Context())) {
			ids[o.Person] = o.Credentials[0].ID
		}
		remove := func(id string) string { return "/security/officers/credentials/" + id + "/remove" }
		c.post("bob", remove(ids[c.ids["ann"]])).want(404, "there is no such approval credential")
		for _, id := range []string{"x", "%00", "%ff", "06dnpmc3ehxcjn3h0gk7kkxv1r"} {
			c.post("bob", remove(id)).want(404)
		}
		c.post("bob", remove(ids[c.ids["bob"]])).to("/security/officers?done=remove")
		c.post("bob", remove(ids[c.ids["bob"]])).want(404)
		c.get("bob", "/security/officers?done=remove").want(200, "The approval credential is removed.")
		c.wait(time.Minute)
		c.script("bob", "/security/requests/"+c.ask("ann", "blue")+"/begin", struct{}{}).want(409, "you have no passkey for approvals yet")
	})
}
