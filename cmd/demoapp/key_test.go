package demoapp_test

import (
	"encoding/json/v2"
	"strings"
	"testing"

	"github.com/signet-city/signet/cmd/demoapp"
	"github.com/signet-city/signet/internal/web"
)

// A site has a secret or a whole private key, and the provider sees the public half.
func TestKeys(t *testing.T) {
	private, set, err := demoapp.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	var j, other map[string]any
	if err := json.Unmarshal(private, &j); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(set), `"d"`) || !strings.Contains(string(set), j["x"].(string)) || j["d"] == nil {
		t.Errorf("private %v, public %s", j != nil, set)
	}
	another, _, err := demoapp.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(another, &other); err != nil {
		t.Fatal(err)
	}
	j["y"] = other["y"]
	mixed, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	o := demoapp.Options{Name: web.Text{ZH: "a", EN: "a"}, Issuer: "http://localhost:1", ClientID: "a", Self: "http://127.0.0.1:1"}
	o.PrivateJWK = private
	if _, err := demoapp.New(o); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"no JSON": "x", "a set": string(set), "an empty key": "{}", "another curve": strings.Replace(string(private), "P-256", "P-384", 1),
		"no private half": strings.Replace(string(private), `"d":"`, `"d":"AA`, 1), "two keys in one": string(mixed)} {
		o.PrivateJWK = []byte(text)
		if _, err := demoapp.New(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	o.PrivateJWK, o.ClientSecret = private, "x"
	if _, err := demoapp.New(o); err == nil {
		t.Error("made with both")
	}
}
