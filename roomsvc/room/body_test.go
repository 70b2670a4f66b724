package room_test

import (
	"fmt"
	"strings"
	"testing"

	"natsrooms/roomsvc/room"
)

func fields(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"f%d":{"a":[1,2]}`, i))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// Of a request with far too many fields only the beginning is looked at; everything else is
// left to those who read it.
func TestCheckFields(t *testing.T) {
	for body, refused := range map[string]bool{
		fields(96): false, fields(97): true, fields(5000): true,
		"[" + fields(5000) + "]": false, `{"a":` + fields(5000) + "}": false, strings.TrimSuffix(fields(96), "}"): false, strings.Repeat(" ", 1000): false,
		fields(5000)[:1900] + "no JSON any more": true,
	} {
		if err := room.CheckFields([]byte(body)); (err != nil) != refused || err != nil && err.Code != room.ErrParamInvalid {
			t.Errorf("%.40s... of %d bytes: %v", body, len(body), err)
		}
	}
}

func TestIgnored(t *testing.T) {
	if list, err := room.Ignored([]byte(fields(2))); list != "f0,f1" || err != nil {
		t.Errorf("%q, %v", list, err)
	}
	if list, err := room.Ignored([]byte(fields(64))); strings.Count(list, ",") != 15 || err != nil {
		t.Errorf("%q, %v", list, err)
	}
	if _, err := room.Ignored([]byte(fields(65))); err == nil || err.Limit != 64 || !strings.Contains(err.Message, `"f0"`) {
		t.Errorf("%v", err)
	}
}
