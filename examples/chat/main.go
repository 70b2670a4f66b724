// Chat is a room in a terminal: it prints who comes, who goes and what is said, and sends each
// line that you type. The end of the input (Ctrl-D) leaves the room.
//
//	go run ./examples/chat lobby carol
//
// The variable NATS_URL names a server that is not at nats://127.0.0.1:4222.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "go run ./examples/chat ROOM USER")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := chat(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

func chat(ctx context.Context, roomID, userID string) error {
	url := cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL)
	nc, err := nats.Connect(url)
	if err != nil {
		return fmt.Errorf("nobody answers at %s (%w); make run starts a service", url, err)
	}
	defer nc.Close()
	me := client.New(nc, client.Config{UserID: userID, UserForm: true})
	defer me.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	states, err := me.States(ctx) // listens before there is something to hear
	if err != nil {
		return err
	}
	if _, err := me.Enter(ctx, client.CreateRequest{RoomID: roomID}); err != nil {
		return err
	}

	go comings(ctx, me, roomID, end)
	go talk(ctx, me, roomID, end)
	go stay(states, end)
	go say(ctx, me, roomID, end)

	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	_, err = me.Leave(last, client.RoomRequest{RoomID: roomID})
	return err
}

// comings prints who comes and goes.
func comings(ctx context.Context, me *client.Client, roomID string, end context.CancelCauseFunc) {
	for u, err := range me.Watch(ctx, client.WatchRequest{RoomID: roomID}) {
		switch {
		case err != nil:
			end(err)
		case u.Fact == nil:
			fmt.Println(u.Roster.Len(), "in the room")
		default:
			for _, m := range u.Fact.Joined {
				fmt.Println(m.UserID, "joined")
			}
			for _, m := range u.Fact.Left {
				fmt.Println(m.UserID, "left")
			}
		}
	}
}

// talk prints what is said.
func talk(ctx context.Context, me *client.Client, roomID string, end context.CancelCauseFunc) {
	for heard, err := range me.Messages(ctx, client.MessagesRequest{RoomID: roomID, AfterMessageSeq: new(uint64)}) {
		if err != nil {
			end(err)
			return
		}
		fmt.Printf("%s: %s\n", heard.Message.Sender, printable(heard.Message.Data))
	}
}

// stay ends the chat when the user is no longer in the room.
func stay(states iter.Seq2[*client.Notice, error], end context.CancelCauseFunc) {
	for notice, err := range states {
		if err == nil && notice.State == client.Disconnected {
			end(fmt.Errorf("no longer in the room: %s", cmp.Or(notice.ReasonText, notice.Event.String())))
		}
	}
}

// say sends each line that is typed, and ends the chat with the last one.
func say(ctx context.Context, me *client.Client, roomID string, end context.CancelCauseFunc) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if text := strings.TrimSpace(lines.Text()); text != "" {
			if _, err := me.Send(ctx, client.SendRequest{RoomID: roomID, Type: string(client.Text), Data: text}); err != nil {
				fmt.Println("not sent:", err)
			}
		}
	}
	end(nil)
}

// printable keeps what others wrote from controlling the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
