package console_test

import (
	"bytes"
	"encoding/json/v2"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// parts sends a form with a file.
func (c *city) parts(who, path, name string, file []byte, pairs ...string) answer {
	c.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		must(c.t, m.WriteField(pairs[i], pairs[i+1]))
	}
	part, err := m.CreateFormFile(name, "x.bin")
	must(c.t, err)
	_, err = part.Write(file)
	must(c.t, err)
	must(c.t, m.Close())
	r := c.request(http.MethodPost, path, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	return c.send(who, r)
}

// TestAsk: a form becomes the parameters that it says, once.
func TestAsk(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.get("ann", "/security/requests/new").want(200, "Set the lamp", "Add a security officer", "Enrol an officer's approval credential")
		key := c.get("ann", lampForm).want(200).hidden()
		fields := []string{"request-key", key, "request-reason", "it is\r\ntime", "to", "red", "since", "2026-11-02T09:30", "list", "one\r\n\r\n two ", "loud", "true", "times", "-7"}
		to := c.parts("ann", lampForm, "note", []byte{1, 2, 0xff}, fields...).to("/security/requests/")
		if again := c.parts("ann", lampForm, "note", []byte{1, 2, 0xff}, fields...).to("/security/requests/"); again != to {
			t.Errorf("the same form made %s and %s", to, again)
		}
		c.parts("ann", lampForm, "note", []byte{3}, fields...).want(409, "was used for another request")
		c.get("ann", to).want(200, "The request was made.", "New colour red", "it is time", "宋晚晴", "Withdraw the request", "Request made").lacks("Reject the request")
		list := must2(c.approvals.List(t.Context()))
		if len(list) != 1 {
			t.Fatalf("%d requests", len(list))
		}
		const want = `{"list":["one","two"],"loud":true,"note":"AQL/","since":"2026-11-02T01:30:00Z","times":-7,"to":"red"}`
		if got := list[0]; string(got.Params) != want || got.Reason != "it is time" || got.Requester != c.ids["ann"] {
			t.Errorf("params %s, reason %q", got.Params, got.Reason)
		}
		// What is optional and left empty is no member.
		if q, err := c.approvals.Find(t.Context(), c.ask("ann", "blue")); err != nil || string(q.Params) != `{"to":"blue"}` {
			t.Errorf("params %s, %v", q.Params, err)
		}
	})
}

// TestAskRefused: everything that is wrong is said at once, and nothing is made.
func TestAskRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		a := c.parts("ann", lampForm, "note", bytes.Repeat([]byte{1}, 11), "request-key", "k", "request-reason", " ", "to", "green", "since", "yesterday",
			"list", "a\nb\nc", "loud", "maybe", "times", "many")
		a.want(400, "There is a problem", "Enter a reason", "Choose one of the list", "Enter a date and a time", "more than 10 bytes", "Enter at most 2", "Enter a whole number")
		if n := strings.Count(a.body, `class="problem"`); n != 7 {
			t.Errorf("%d problems stand at their fields, want 7", n)
		}
		if !strings.Contains(a.body, `value="yesterday"`) || !strings.Contains(a.body, "<title>Error: ") {
			t.Error("what was filled in is lost, or the title does not say that something is wrong")
		}
		good := []string{"request-key", "k1", "request-reason", "x", "to", "red"}
		for name, one := range map[string]struct {
			pairs  []string
			status int
			says   string
		}{
			"no colour":          {[]string{"to", ""}, 400, "This is needed"},
			"a number too large": {[]string{"times", "9007199254740992"}, 400, "Enter a whole number"},
			"hidden in a list":   {[]string{"list", "a\u200bb"}, 400, "cannot be seen"},
			"no UTF-8":           {[]string{"list", "\xff"}, 400, "cannot be seen"},
			"a long reason":      {[]string{"request-reason", strings.Repeat("长", 501)}, 400, "at most 500 characters"},
			"no key":             {[]string{"request-key", ""}, 400, "idempotency key"},
			"a key of words":     {[]string{"request-key", "两个"}, 400, "idempotency key"},
			"the check says no":  {[]string{"to", "plaid"}, 400, "/to: is not a colour"},
			"half a date":        {[]string{"since", "2026-11-02"}, 400, "Enter a date and a time"},
		} {
			t.Run(name, func(t *testing.T) {
				c.t = t
				c.post("ann", lampForm, append(good[:len(good):len(good)], one.pairs...)...).want(one.status, one.says)
			})
		}
		c.t = t
		c.lamp.set(func(l *lamp) { l.away = true })
		c.post("ann", lampForm, good...).want(503, "not available")
		c.lamp.set(func(l *lamp) { l.away = false })
		c.post("ann", "/security/requests/new/lamp.unset", good...).want(404, "there is no such kind of request")
		c.post("ann", "/security/requests/new/officer.remove", "request-key", "k2", "request-reason", "x", "person", c.ids["dan"]).want(400, "Choose one of the list")
		c.post("ann", "/security/requests/new/officer.remove", "request-key", "k2", "request-reason", "x", "person", c.ids["bob"]).want(409, "at least three")
		c.post("ann", "/security/requests/new/officer.enrol", "request-key", "k3", "request-reason", "x", "person", c.ids["ann"]).want(403, "two others")
		c.post("ann", "/security/requests/new/officer.add", "request-key", "k4", "request-reason", "x", "person", "nobody").want(400, "not in the registry")
		if list := must2(c.approvals.List(t.Context())); len(list) != 0 {
			t.Errorf("%d requests were made", len(list))
		}
	})
}

// TestTooManyRequests: an officer who asks too much is told so.
func TestTooManyRequests(t *testing.T) {
	c := newCity(t, sqlite(t))
	for range approval.MaxOpen {
		c.ask("ann", "red")
	}
	c.post("ann", lampForm, "request-key", "k", "request-reason", "x", "to", "red").want(409, "too many requests waiting")
	c.get("bob", "/security/requests").want(200, "Set the lamp").lacks("Next page")
	for range 20 {
		c.ask("cai", "red")
	}
	c.get("bob", "/security/requests").want(200, "Next page")
	c.get("bob", "/security/requests?page=2").want(200, "First page")
	c.get("bob", "/security/requests?state=done").want(200, "There are none.")
}

// TestApprove: the page shows what is signed, the passkey signs it, and it is done.
func TestApprove(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		id := c.ask("ann", "red")
		path := "/security/requests/" + id
		st, err := c.approvals.Statement(t.Context(), id, c.ids["bob"])
		must(t, err)
		page := c.get("bob", path).want(200, "New colour red", "Requester 宋晚晴", "it is time", approval.ChallengeText(st), "With your passkey for approvals", "Reject the request", `"from": "green"`)
		if !strings.Contains(page.body, `data-challenge="`+approval.ChallengeText(st)+`"`) || !strings.Contains(page.body, "/assets/approval.") {
			t.Error("the script is not told what the page shows")
		}
		var o approval.ApprovalOptions
		c.script("bob", path+"/begin", struct{}{}).want(200).decode(&o)
		if approval.Bytes(o.Challenge).String() != approval.ChallengeText(st) || len(o.Allow) != 1 || string(o.Allow[0]) != string(c.passkeys["bob"].ID) {
			t.Errorf("options %+v", o)
		}
		answer := c.passkeys["bob"].get(t, o.Challenge)
		var done struct{ Next string }
		c.script("bob", path+"/finish", answer).want(200).decode(&done)
		if done.Next != path+"?done=approve" || c.lamp.runs() != 1 {
			t.Errorf("goes on to %q after %d runs", done.Next, c.lamp.runs())
		}
		c.get("bob", done.Next).want(200, "It was approved and is done.", "Decided by 白沐阳", "Passkey", "Request approved", "Request carried out (completed)").lacks("With your passkey", "Draw the code")
		c.get("ann", done.Next).want(200, "Done").lacks("It was approved and is done.")
		c.get("cai", path).want(200, approval.ChallengeText(st))
		// The same answer again is the same; nobody decides it anew.
		c.script("bob", path+"/finish", answer).want(200)
		c.script("bob", path+"/begin", struct{}{}).want(409, "decided already")
		c.post("cai", path+"/reject", "reason", "no").want(409, "decided already")
		c.post("ann", path+"/withdraw").want(409, "decided already")
		if c.lamp.runs() != 1 {
			t.Errorf("%d runs", c.lamp.runs())
		}
		c.get("cai", "/security/requests?state=done").want(200, "Set the lamp", "Done")
		c.get("cai", "/security/requests").want(200, "There are none.")
	})
}

// TestApproveRefused: one officer alone cannot, nor anybody without their own
// passkey for approvals.
func TestApproveRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		id := c.ask("ann", "red")
		path := "/security/requests/" + id
		// The requester.
		c.get("ann", path).want(200, "Nobody approves their own request.").lacks("With your passkey")
		c.script("ann", path+"/begin", struct{}{}).want(403, "nobody approves their own request")
		st, err := c.approvals.Statement(t.Context(), id, c.ids["bob"])
		must(t, err)
		challenge := approval.Challenge(st)
		c.script("ann", path+"/finish", c.passkeys["ann"].get(t, challenge[:])).want(403, "nobody approves their own request")
		r := c.request(http.MethodPost, path+"/begin", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Language", "zh-CN")
		c.send("ann", r).want(403, "不能批准自己提出的申请。")
		// An officer without a passkey.
		c.get("cai", path).want(200, "You have no passkey for approvals yet.").lacks("With your passkey")
		c.script("cai", path+"/begin", struct{}{}).want(409, "you have no passkey for approvals yet")
		// Others' proofs, and proofs of something else.
		c.script("cai", path+"/finish", c.passkeys["bob"].get(t, challenge[:])).want(403, "the signature was not accepted")
		c.script("bob", path+"/finish", c.passkeys["ann"].get(t, challenge[:])).want(403, "the signature was not accepted")
		c.script("bob", path+"/finish", newAuthenticator(t, c.base).get(t, challenge[:])).want(403, "the signature was not accepted")
		other := c.ask("ann", "blue")
		st, err = c.approvals.Statement(t.Context(), other, c.ids["bob"])
		must(t, err)
		another := approval.Challenge(st)
		c.script("bob", path+"/finish", c.passkeys["bob"].get(t, another[:])).want(403, "the signature was not accepted")
		for name, lie := range map[string]func(a *authenticator){
			"another origin": func(a *authenticator) { a.Origin = "https://evil.example" },
			"not verified":   func(a *authenticator) { a.Flags = testkit.FlagUP },
			"not present":    func(a *authenticator) { a.Flags = testkit.FlagUV },
		} {
			a := *c.passkeys["bob"]
			lie(&a)
			if got := c.script("bob", path+"/finish", a.get(t, challenge[:])); got.status != 403 {
				t.Errorf("%s: status %d", name, got.status)
			}
		}
		// Not what the script sends.
		for _, body := range []any{[]int{1}, map[string]any{}, map[string]any{"id": "AA", "evil": true}, map[string]any{"id": 7}, "x"} {
			if got := c.script("bob", path+"/finish", body); got.status != 400 && got.status != 403 {
				t.Errorf("%v: status %d", body, got.status)
			}
		}
		c.script("bob", path+"/begin", map[string]any{"force": true}).want(400)
		c.post("bob", path+"/begin").want(415)
		c.script("bob", path+"/finish", strings.Repeat("x", 40<<10)).want(413)
		c.wantState(id, approval.Open)
		if c.lamp.runs() != 0 {
			t.Fatalf("%d runs", c.lamp.runs())
		}
	})
}

// TestSituationChanges: what would do something else now is never done.
func TestSituationChanges(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		id := c.ask("ann", "red")
		path := "/security/requests/" + id
		var o approval.ApprovalOptions
		c.script("bob", path+"/begin", struct{}{}).want(200).decode(&o)
		c.lamp.set(func(l *lamp) { l.colour = "yellow" })
		c.get("bob", path).want(200, "You cannot approve this request.", "the situation has changed").lacks("With your passkey")
		c.script("bob", path+"/begin", struct{}{}).want(409, "the situation has changed")
		c.script("bob", path+"/finish", c.passkeys["bob"].get(t, o.Challenge)).want(409, "the situation has changed")
		c.wantState(id, approval.Failed)
		c.get("bob", path).want(200, "Failed", "Why: the situation has changed")

		stuck := c.ask("ann", "blue")
		c.lamp.set(func(l *lamp) { l.failed = true })
		c.approve("bob", stuck).want(200)
		c.get("bob", "/security/requests/"+stuck+"?done=approve").want(200, "It was approved but could not be done.", "Why: the lamp is stuck")

		c.lamp.set(func(l *lamp) { l.failed = false })
		away := c.ask("ann", "red")
		c.lamp.set(func(l *lamp) { l.away = true })
		c.get("bob", "/security/requests/"+away).want(503, "not available")
		c.script("bob", "/security/requests/"+away+"/begin", struct{}{}).want(503)
		c.lamp.set(func(l *lamp) { l.away = false })
		c.approve("bob", away).want(200)

		late := c.ask("ann", "blue")
		c.wait(25 * time.Hour)
		c.script("bob", "/security/requests/"+late+"/begin", struct{}{}).want(409, "the request has expired")
	})
}

func TestRejectAndWithdraw(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		id := c.ask("ann", "red")
		path := "/security/requests/" + id
		c.post("bob", path+"/reject", "reason", " ").want(400, "Enter a reason", "There is a problem")
		c.post("bob", path+"/reject", "reason", strings.Repeat("x", 501)).want(400, "at most 500 characters")
		c.post("ann", path+"/reject", "reason", "x").want(403)
		c.post("ann", path+"/reject", "reason", "").want(403)
		c.post("bob", path+"/withdraw").want(403)
		c.post("bob", path+"/code").want(404, "no enrolment code for you")
		c.wantState(id, approval.Open)
		c.post("bob", path+"/reject", "reason", "not\r\nnow").to(path + "?done=reject")
		c.post("bob", path+"/reject", "reason", "not now").to(path + "?done=reject")
		c.get("bob", path+"?done=reject").want(200, "The request was rejected.", "not now", "Decided by 白沐阳").lacks("Reject the request")
		c.get("ann", path+"?done=reject").want(200, "Rejected").lacks("The request was rejected.")
		c.post("cai", path+"/reject", "reason", "no").want(409, "decided already")

		own := "/security/requests/" + c.ask("ann", "red")
		c.post("ann", own+"/withdraw").to(own + "?done=withdraw")
		c.post("ann", own+"/withdraw").to(own + "?done=withdraw")
		c.get("ann", own+"?done=withdraw").want(200, "The request was withdrawn.")
		c.script("bob", own+"/begin", struct{}{}).want(409, "decided already")
		if c.lamp.runs() != 0 {
			t.Errorf("%d runs", c.lamp.runs())
		}
	})
}

var nextPage = regexp.MustCompile(`href="([^"]+)">Next page`)

// TestLogPage: kinds in words, officers by their names, others by none.
func TestLogPage(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		k := c.token()
		must(t, c.db.Update(t.Context(), func(tx db.Tx) error {
			_, err := appendEvent(t.Context(), tx, "login.sign_in", "person:"+c.ids["dan"], "session:x")
			return err
		}))
		id := c.ask("ann", "red")
		a := c.get("bob", "/security/log").want(200, "Request made", "宋晚晴", "Set the lamp", "Sign-in", "person:"+c.ids["dan"], "Not sealed yet",
			"Sign-in tokens city", "Published → In use").lacks("林若川", "person:"+c.ids["ann"])
		for _, address := range []string{"/security/keys/" + k.ID, "/security/requests/" + id} {
			if !strings.Contains(a.body, `href="`+address+`"`) {
				t.Errorf("no way to %s", address)
			}
		}
		for range 30 {
			c.ask("bob", "red")
			c.post("bob", "/security/keys/"+k.ID, "pause", "1", "seen", c.get("bob", "/security/keys/"+k.ID).hidden(), "reason", "x")
			c.post("bob", "/security/keys/"+k.ID, "resume", "1", "seen", c.get("bob", "/security/keys/"+k.ID).hidden(), "reason", "x")
		}
		seen, path := 0, "/security/log"
		for range 20 {
			a := c.get("bob", path).want(200)
			seen += strings.Count(a.body, `<tr><th scope="row"`)
			next := nextPage.FindStringSubmatch(a.body)
			if next == nil {
				break
			}
			path = next[1]
		}
		if all := len(must2(c.events(t.Context(), "", 1<<20))); seen != all {
			t.Errorf("%d events on the pages, %d in the log", seen, all)
		}
	})
}

func TestRootPage(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		c.get("ann", "/security/root").want(200, "No act of the root is under way.", "signet root sign request.json").lacks("Download the request")
		c.get("ann", "/security/root/request").want(404, "no act of the root is under way")
		c.rootFile = must2(json.Marshal(map[string]any{"id": "06dnpmc3ehxcjn3h0gk7kkxv1r", "x": "<b>"}))
		c.get("ann", "/security/root").want(200, "An act of the root is under way.", "06dnpmc3ehxcjn3h0gk7kkxv1r", "Apply the root's response")
		a := c.get("ann", "/security/root/request").want(200)
		if a.body != string(c.rootFile) || a.header.Get("Content-Disposition") != `attachment; filename="request.json"` || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q %v", a.body, a.header)
		}
		c.rootFile = []byte("no JSON")
		c.get("ann", "/security/root").want(200, "An act of the root is under way.")
	})
}
