package policy_test

import (
	"reflect"
	"slices"
	"testing"

	"natsrooms/roomsvc/policy"
)

// To a NATS server an empty list means everything, so no role has one.
func TestTable(t *testing.T) {
	seen := map[policy.Role]bool{}
	for _, rule := range policy.Table {
		if seen[rule.Role] || rule.Means == "" || len(rule.Publish) == 0 || len(rule.Subscribe) == 0 {
			t.Errorf("the row of the role %q: %+v", rule.Role, rule)
		}
		seen[rule.Role] = true
		if !reflect.DeepEqual(policy.Of(rule.Role), rule.Permissions) {
			t.Errorf("%s: Of does not match its row", rule.Role)
		}
		for _, list := range [][]string{rule.Publish, rule.Subscribe} {
			if slices.Contains(list, ">") || slices.Contains(list, "") || len(slices.Compact(slices.Sorted(slices.Values(list)))) != len(list) {
				t.Errorf("%s has %q", rule.Role, list)
			}
		}
	}
}

func TestUser(t *testing.T) {
	for _, c := range []struct {
		verbs   []string
		publish []string
	}{
		{nil, []string{"room.cmd.*.al=2Eice"}},
		{[]string{"get", "send"}, []string{"room.cmd.get.al=2Eice", "room.cmd.send.al=2Eice"}},
	} {
		p := policy.User("al.ice", c.verbs)
		hears := []string{"_INBOX_al=2Eice.>", "room.feed.al=2Eice.*", "room.state.al=2Eice.*", "room.open.*"}
		if !slices.Equal(p.Publish, c.publish) || !slices.Equal(p.Subscribe, hears) || p.Respond {
			t.Errorf("verbs %v: %+v", c.verbs, p)
		}
	}
}
