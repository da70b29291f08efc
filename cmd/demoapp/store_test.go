package demoapp

import (
	"testing"
	"time"
)

// However many come, the oldest give way.
func TestStoreIsBounded(t *testing.T) {
	now := time.Now()
	s := newStore[int](time.Minute, func() time.Time { return now })
	var secrets []string
	for i := range most + 10 {
		secrets = append(secrets, s.add(i))
	}
	if len(s.byKey) != most || s.order.Len() != most {
		t.Errorf("%d and %d kept", len(s.byKey), s.order.Len())
	}
	if _, ok := s.find(secrets[9]); ok {
		t.Error("the oldest are kept")
	}
	if v, ok := s.find(secrets[10]); !ok || v != 10 {
		t.Errorf("found %d, %v", v, ok)
	}
	if v, ok := s.take(secrets[most]); !ok || v != most {
		t.Errorf("took %d, %v", v, ok)
	}
	if _, ok := s.take(secrets[most]); ok {
		t.Error("taken twice")
	}
	now = now.Add(time.Minute)
	if _, ok := s.find(secrets[most+1]); ok {
		t.Error("found after its time")
	}
	if _, ok := s.take(secrets[most+2]); ok {
		t.Error("taken after its time")
	}
	s.add(0)
	if len(s.byKey) != 1 || s.order.Len() != 1 {
		t.Errorf("%d and %d kept after their time", len(s.byKey), s.order.Len())
	}
}
