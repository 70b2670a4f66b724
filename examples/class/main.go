// Class is a class with break-out rooms. Type "split 3" to send the pupils into three of them,
// "gather" to have them all back, and end the input (Ctrl-D) when the class is over.
//
//	go run ./examples/class math ms-smith
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "go run ./examples/class ROOM TEACHER")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := teach(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "class:", err)
		os.Exit(1)
	}
}

func teach(ctx context.Context, roomID, teacher string) error {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL))
	if err != nil {
		return err
	}
	defer nc.Close()
	class, err := Open(ctx, nc, roomID, teacher)
	if err != nil {
		return err
	}
	fmt.Println("split N, gather, or Ctrl-D")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, err := 0, error(nil)
		switch _, none := fmt.Sscanf(lines.Text(), "split %d", &n); {
		case none == nil && n > 0:
			err = class.Split(ctx, n)
		case lines.Text() == "gather":
			err = class.Gather(ctx)
		default:
			fmt.Println("split N, gather, or Ctrl-D")
			continue
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
	if err := class.Gather(ctx); err != nil {
		return err
	}
	_, err = class.teacher.Destroy(ctx, client.DestroyRequest{RoomID: roomID, Reason: "class is over"})
	return err
}

// gone says whether a switch failed only because the pupil, or one device, has left meanwhile.
func gone(err error) bool { return errors.Is(err, client.ErrUserNotInRoom) }
