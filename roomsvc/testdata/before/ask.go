//go:build ignore

// Ask sends the lines of requests.txt to the NATS server at the URL that it is given, and
// prints what the lines with ? were answered with.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"natsrooms/subjects"
)

type answer struct {
	Subject string          `json:"subject"`
	Body    json.RawMessage `json:"body"`
	Error   string          `json:"error,omitempty"`
	Answer  json.RawMessage `json:"answer"`
}

func main() {
	nc, err := nats.Connect(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	instances := map[string]string{} // by $room
	var answers []answer
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		line, question := strings.CutPrefix(line, "? ")
		subject, body, _ := strings.Cut(line, " ")
		for name, id := range instances {
			body = strings.ReplaceAll(body, `"`+name+`"`, `"`+id+`"`)
		}
		m, err := nc.Request(subjects.Command(subject), []byte(body), 15*time.Second)
		if err != nil {
			log.Fatalf("%s: %v", line, err)
		}
		refused := m.Header.Get("Nats-Service-Error")
		if question {
			answers = append(answers, answer{subject, json.RawMessage(body), refused, m.Data})
			continue
		}
		if refused != "" {
			log.Fatalf("%s: %s", line, m.Data)
		}
		var reply struct {
			RoomID, InstanceID string
			Room               struct{ RoomID, InstanceID string }
		}
		if err := json.Unmarshal(m.Data, &reply); err != nil {
			log.Fatalf("%s: %v", line, err)
		}
		if r := reply.Room; r.RoomID != "" {
			instances["$"+r.RoomID] = r.InstanceID
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "\t")
	if err := out.Encode(answers); err != nil {
		log.Fatal(err)
	}
}
