package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/console"
	"github.com/signet-city/signet/internal/web"
)

// pages are the addresses of every page and form, for a request and a key that are
// there.
func (c *city) pages() (get, post, script []string) {
	key, id := "/security/keys/"+c.token().ID, "/security/requests/"+c.ask("ann", "red")
	get = []string{"/security", key, "/security/requests", "/security/requests?state=done", "/security/requests/new", lampForm,
		"/security/requests/new/officer.enrol", id, "/security/officers", "/security/log", "/security/root", "/security/root/request"}
	post = []string{key, lampForm, id + "/reject", id + "/withdraw", id + "/code", "/security/officers/key", "/security/officers/credentials/" + key[len("/security/keys/"):] + "/remove"}
	script = []string{id + "/begin", id + "/finish", "/security/officers/passkey/begin", "/security/officers/passkey/finish"}
	return get, post, script
}

func TestWhoMayEnter(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.rootFile = []byte(`{}`)
		get, post, script := c.pages()
		for _, path := range get {
			c.get("", path).to("/login?next=%2Fsecurity")
			c.get("ann", path).want(200)
			c.get("dan", path).want(403, "This is for security officers.").lacks("lamp", "宋晚晴")
			c.get("ann-weak", path).want(403, "Sign in with a passkey").lacks("Rooms", "白沐阳")
			if a := c.get("ann-weak", path); !strings.Contains(a.body, `href="/login?reauth=1&amp;next=%2Fsecurity`) {
				t.Errorf("%s does not lead to signing in: %s", path, a.body)
			}
			c.get("dan-weak", path).want(403, "This is for security officers.")
		}
		for _, path := range post {
			c.post("", path).to("/login?next=%2F")
			c.post("dan", path, "pause", "1", "reason", "x").want(403, "This is for security officers.")
			c.post("bob-weak", path, "reject", "1", "reason", "x", "pause", "1").want(403, "Sign in with a passkey")
		}
		for _, path := range script {
			for who, says := range map[string]string{"": "Sign in with a passkey", "dan": "This is for security officers.", "bob-weak": "Sign in with a passkey"} {
				a := c.script(who, path, struct{}{}).want(403, says)
				if a.header.Get("Content-Type") != "application/json" {
					t.Errorf("%s answers %s", path, a.header.Get("Content-Type"))
				}
			}
		}
		for _, q := range must2(c.approvals.List(t.Context())) {
			c.wantState(q.ID, approval.Open)
		}
	})
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestStrangers: what a page of another site sends changes nothing.
func TestStrangers(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		_, post, script := c.pages()
		for _, path := range append(post, script...) {
			for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
				r := c.request(http.MethodPost, path, strings.NewReader("pause=1&reason=x&reject=1"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set(header[0], header[1])
				c.send("bob", r).want(403, "another site")
			}
		}
		for _, q := range must2(c.approvals.List(t.Context())) {
			c.wantState(q.ID, approval.Open)
		}
		c.get("bob", post[0]).want(200, "Pause at once")
	})
}

// TestRemovedOfficer: somebody who is an officer no more is out at once.
func TestRemovedOfficer(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		add := c.askFor("ann", approval.KindAdd, "person", c.ids["dan"])
		c.approve("bob", add).want(200)
		c.get("dan", "/security").want(200)
		remove := c.askFor("ann", approval.KindRemove, "person", c.ids["dan"])
		c.approve("bob", remove).want(200)
		c.get("dan", "/security").want(403, "This is for security officers.")
		c.api("dan", "GET", "requests", nil).want(403)
	})
}

// askFor makes a request of the officers' own kinds and returns its id.
func (c *city) askFor(who, kind string, pairs ...string) string {
	c.t.Helper()
	path := "/security/requests/new/" + kind
	pairs = append(pairs, "request-key", c.get(who, path).want(200).hidden(), "request-reason", "it is time")
	id, _, _ := strings.Cut(strings.TrimPrefix(c.post(who, path, pairs...).to("/security/requests/"), "/security/requests/"), "?")
	return id
}

// TestHostileAddresses: whatever stands in an address, there is no failure of ours.
func TestHostileAddresses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		none := "06dnpmc3ehxcjn3h0gk7kkxv1r"
		for _, path := range []string{"/security/keys/%s", "/security/requests/%s", "/security/requests/new/%s", "/security/%s", "/security/v1/requests/%s"} {
			for _, id := range []string{none, "%00", "%ff%fe", "..%2f..", "x", strings.Repeat("a", 3000), "'%20OR%201=1--", "%F0%9F%94%91", "new%2fx"} {
				r := c.request(http.MethodGet, strings.Replace(path, "%s", id, 1), nil)
				r.Header.Set("Authorization", "Bearer ann")
				c.send("ann", r).want(404)
			}
		}
		for _, act := range []string{"reject", "withdraw", "code", "begin", "finish", "explode", "%00"} {
			for _, id := range []string{none, "%00", "x"} {
				if a := c.post("ann", "/security/requests/"+id+"/"+act, "reason", "x"); a.status != 404 && a.status != 415 {
					t.Errorf("%s of %s: status %d", act, id, a.status)
				}
			}
			if act == "begin" || act == "finish" {
				c.script("ann", "/security/requests/"+none+"/"+act, struct{}{}).want(404, "there is no such request")
			}
		}
		for _, query := range []string{"/security?page=0", "/security?page=-1", "/security?page=x", "/security?page=99999999999", "/security/log?before=x",
			"/security/log?before=%00", "/security/requests?state=%00", "/security/requests?state=bad", "/security/requests?page=%ff"} {
			c.get("ann", query).want(404)
		}
		c.get("ann", "/security?page=1000&purpose=%00%ff").want(200)
		a := c.get("ann", lampForm+"?to=red&since=%00%ff%3Cscript%3E&list="+strings.Repeat("y", 5000)).want(200)
		if strings.Contains(a.body, "<script>") || strings.Contains(a.body, "\x00") {
			t.Error("the address stands on the page as it is")
		}
		for _, method := range []string{"PUT", "DELETE"} {
			c.send("ann", c.request(method, "/security/officers", nil)).want(405)
		}
		for _, path := range []string{lampForm, "/security/officers/key"} {
			r := c.request(http.MethodPost, path, strings.NewReader("a=%zz&b=%"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			c.send("ann", r).want(400)
			r = c.request(http.MethodPost, path, strings.NewReader("a="+strings.Repeat("x", 300<<10)))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			c.send("ann", r).want(413)
			r = c.request(http.MethodPost, path, strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n"+strings.Repeat("x", 300<<10)+"\r\n--x--\r\n"))
			r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
			c.send("ann", r).want(413)
			r = c.request(http.MethodPost, path, strings.NewReader("--x\r\ngarbage"))
			r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
			c.send("ann", r).want(400)
		}
	})
}

// TestNew refuses what cannot work.
func TestNew(t *testing.T) {
	c := newCity(t, sqlite(t))
	good := c.options()
	label := web.Text{ZH: "甲", EN: "A"}
	form := func(fields ...console.Field) func(o *console.Options) {
		return func(o *console.Options) { o.Forms = []console.Form{{Kind: "lamp.set", Fields: fields}} }
	}
	for name, change := range map[string]func(o *console.Options){
		"no site":          func(o *console.Options) { o.Site = nil },
		"no approvals":     func(o *console.Options) { o.Approvals = nil },
		"no people":        func(o *console.Options) { o.People = nil },
		"no root":          func(o *console.Options) { o.Root = nil },
		"no keys":          func(o *console.Options) { o.Keys = nil },
		"no calendar":      func(o *console.Options) { o.Calendar = nil },
		"no pause":         func(o *console.Options) { o.Pause = nil },
		"no resume":        func(o *console.Options) { o.Resume = nil },
		"no events":        func(o *console.Options) { o.Events = nil },
		"no history":       func(o *console.Options) { o.History = nil },
		"no caller":        func(o *console.Options) { o.Caller = nil },
		"no assurance":     func(o *console.Options) { o.ACR = "" },
		"unknown kind":     func(o *console.Options) { o.Forms = []console.Form{{Kind: "lamp.unset"}} },
		"a kind twice":     func(o *console.Options) { o.Forms = append(o.Forms, o.Forms[0]) },
		"nameless":         form(console.Field{Label: label}),
		"hyphen":           form(console.Field{Name: "request-key", Label: label}),
		"a name twice":     form(console.Field{Name: "a", Label: label}, console.Field{Name: "a", Label: label}),
		"no label":         form(console.Field{Name: "a", Label: web.Text{EN: "A"}}),
		"no options":       form(console.Field{Name: "a", Label: label, Type: console.Choice}),
		"unwanted options": form(console.Field{Name: "a", Label: label, Options: []web.Option{{Value: "x"}}}),
		"unknown type":     form(console.Field{Name: "a", Label: label, Type: "colour"}),
	} {
		o := good
		change(&o)
		o.Registerer = nil
		// Assets may be read once for a site.
		if o.Site != nil {
			o.Site = must2(web.NewSite(web.SiteOptions{Name: label}))
		}
		if _, err := console.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good.Site, good.Registerer = must2(web.NewSite(web.SiteOptions{Name: label})), nil
	must(t, errOf(console.New(good)))
}

func errOf[T any](_ T, err error) error { return err }
