package webhook_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/webhook"
)

// TestVector holds that the signatures of docs/spec/webhooks.md are made here, and that
// a stranger's check takes them.
func TestVector(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/webhooks.md")
	must(t, err)
	var fields = map[string]string{}
	var body string
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(name, "webhook-") {
			fields[name] = value
		}
		if strings.HasPrefix(line, `{"data"`) {
			body = line
		}
	}
	var secrets [][]byte
	for _, word := range strings.Split(string(page), "`") {
		if text, ok := strings.CutPrefix(word, "whsec_"); ok && text != "" {
			b, err := base64.StdEncoding.DecodeString(text)
			must(t, err)
			secrets = append(secrets, b)
		}
	}
	if len(secrets) != 2 || body == "" || len(fields) != 3 {
		t.Fatalf("the page has %d secrets, %d headers", len(secrets), len(fields))
	}
	const at = 1795856400
	if got := webhook.Sign(fields["webhook-id"], at, []byte(body), secrets[0]); got != fields["webhook-signature"] {
		t.Errorf("signature %s", got)
	}
	if both := webhook.Sign(fields["webhook-id"], at, []byte(body), secrets...); !strings.Contains(string(page), "its signature is `"+both+"`") {
		t.Errorf("signatures %s", both)
	}
	for _, other := range []string{webhook.Sign(fields["webhook-id"]+"x", at, []byte(body), secrets[0]), webhook.Sign(fields["webhook-id"], at+1, []byte(body), secrets[0]),
		webhook.Sign(fields["webhook-id"], at, []byte(body+" "), secrets[0])} {
		if other == fields["webhook-signature"] {
			t.Error("another message has the same signature")
		}
	}
}
