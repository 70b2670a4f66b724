package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"natsrooms/roomsvc/client"
)

// Lobby is the room in which players wait for a table.
const Lobby = "game-lobby"

// Seats is how many players a table has. The game begins when all are taken.
const Seats = 4

// table is the ID of the room of a table.
func table(n int) string { return fmt.Sprintf("table-%d", n) }

// Player is somebody who waits in the lobby or sits at a table. A player needs no more rights
// than an end user has.
type Player struct {
	*client.Client
	table string // empty: in the lobby
}

// Come brings a player into the lobby.
func Come(ctx context.Context, nc *nats.Conn, name string) (*Player, error) {
	p := &Player{Client: client.New(nc, client.Config{UserID: name, UserForm: true})}
	_, err := p.Enter(ctx, client.CreateRequest{RoomID: Lobby})
	return p, err
}

// Sit moves the player from the lobby to the first table with a free seat. However many try at
// the same time, no table gets more than its seats: the service counts, and refuses the rest.
func (p *Player) Sit(ctx context.Context) (string, error) {
	for n := 1; ; n++ {
		_, err := p.Switch(ctx, client.SwitchRequest{
			FromRoomID:                 Lobby,
			ToRoomInfo:                 client.RoomInfo{RoomID: table(n)},
			IsCreateWhenRoomNotExisted: true,
			Config:                     &client.RoomConfig{MaxMembers: Seats},
		})
		if errors.Is(err, client.ErrRoomFull) {
			continue // and the player is still in the lobby
		}
		if err == nil {
			p.table = table(n)
		}
		return p.table, err
	}
}

// Begin waits until all seats of the player's table are taken, and returns who plays. waiting is
// called with the number of players whenever it changes.
func (p *Player) Begin(ctx context.Context, waiting func(players int)) ([]string, error) {
	for u, err := range p.Watch(ctx, client.WatchRequest{RoomID: p.table}) {
		if err != nil {
			return nil, err
		}
		if waiting(u.Roster.Len()); u.Roster.Len() < Seats {
			continue
		}
		var players []string
		for m := range u.Roster.All() {
			players = append(players, m.UserID)
		}
		return players, nil
	}
	return nil, ctx.Err()
}

// Ready tells the others that the player knows who plays, and waits until all of them know. Nobody
// misses it: messages are stored, and are read from the first one on.
func (p *Player) Ready(ctx context.Context, players []string) error {
	game := strings.Join(players, ", ")
	if _, err := p.Send(ctx, client.SendRequest{RoomID: p.table, Type: string(client.Custom), Data: game}); err != nil {
		return err
	}
	missing := slices.Clone(players)
	for heard, err := range p.Messages(ctx, client.MessagesRequest{RoomID: p.table, AfterMessageSeq: new(uint64)}) {
		if err != nil {
			return err
		}
		if m := heard.Message; m.Type == client.Custom && m.Data == game {
			missing = slices.DeleteFunc(missing, func(player string) bool { return player == m.Sender })
		}
		if len(missing) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// Rise moves the player back to the lobby. A table that nobody sits at any more is gone.
func (p *Player) Rise(ctx context.Context) error {
	_, err := p.Switch(ctx, client.SwitchRequest{FromRoomID: p.table, ToRoomInfo: client.RoomInfo{RoomID: Lobby}, IsCreateWhenRoomNotExisted: true})
	if err == nil {
		p.table = ""
	}
	return err
}
