// A user of the API that is not ours: the Firecracker SDK for Go, as it is published, boots guests and says what it sees.
//
//	judge api SOCKET KERNEL INITRD DRIVE           by requests to a monitor that waits at the socket
//	judge machine MONITOR SOCKET KERNEL INITRD DRIVE   starts the monitor itself, as it would start Firecracker
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	models "github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/sirupsen/logrus"
)

const arguments = "console=ttyS0 reboot=k panic=1 pci=off quiet"

// Prints what was done; ends the program when it failed.
func must(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
	fmt.Printf("%s: done\n", what)
}

func quiet() *logrus.Entry {
	logger := logrus.New()
	logger.SetLevel(logrus.ErrorLevel)
	return logrus.NewEntry(logger)
}

func byRequests(ctx context.Context, socket, kernel, initrd, drive string) {
	client := firecracker.NewClient(socket, quiet(), false)
	_, err := client.PutMachineConfiguration(ctx, &models.MachineConfiguration{
		VcpuCount: firecracker.Int64(1), MemSizeMib: firecracker.Int64(128)})
	must("machine", err)
	_, err = client.PutGuestBootSource(ctx, &models.BootSource{
		KernelImagePath: &kernel, InitrdPath: initrd, BootArgs: arguments})
	must("kernel", err)
	root := &models.Drive{DriveID: firecracker.String("root"), PathOnHost: &drive,
		IsRootDevice: firecracker.Bool(true), IsReadOnly: firecracker.Bool(true)}
	_, err = client.PutGuestDriveByID(ctx, "root", root)
	must("drive", err)
	act := func(action string) {
		_, err := client.CreateSyncAction(ctx, &models.InstanceActionInfo{ActionType: &action})
		must(action, err)
	}
	act(models.InstanceActionInfoActionTypeInstanceStart)
	config, err := client.GetMachineConfiguration()
	must("configuration", err)
	fmt.Printf("memory %d\n", *config.Payload.MemSizeMib)
	for _, state := range []string{models.VMStatePaused, models.VMStateResumed} {
		_, err = client.PatchVM(ctx, &models.VM{State: &state})
		must(state, err)
		info, err := client.GetInstanceInfo(ctx)
		must("information", err)
		fmt.Printf("state %s\n", *info.Payload.State)
	}
	if _, err = client.PutGuestDriveByID(ctx, "root", root); err == nil {
		must("refusal", fmt.Errorf("a drive was taken after the start"))
	}
	fmt.Printf("refused: %v\n", err)
}

func byItself(ctx context.Context, monitor, socket, kernel, initrd, drive string) {
	command := firecracker.VMCommandBuilder{}.WithBin(monitor).WithSocketPath(socket).Build(ctx)
	machine, err := firecracker.NewMachine(ctx, firecracker.Config{
		SocketPath: socket, KernelImagePath: kernel, InitrdPath: initrd, KernelArgs: arguments,
		Drives: firecracker.NewDrivesBuilder(drive).Build(),
		MachineCfg: models.MachineConfiguration{
			VcpuCount: firecracker.Int64(1), MemSizeMib: firecracker.Int64(128)},
	}, firecracker.WithProcessRunner(command), firecracker.WithLogger(quiet()))
	must("machine", err)
	must("start", machine.Start(ctx))
	must("pause", machine.PauseVM(ctx))
	must("resume", machine.ResumeVM(ctx))
	must("stop", machine.StopVMM())
	// a signal ends it, which this reports as an error or not
	_ = machine.Wait(ctx)
	fmt.Println("ended")
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	switch a := os.Args[1:]; {
	case len(a) == 5 && a[0] == "api":
		byRequests(ctx, a[1], a[2], a[3], a[4])
	case len(a) == 6 && a[0] == "machine":
		byItself(ctx, a[1], a[2], a[3], a[4], a[5])
	default:
		fmt.Println("usage: judge api SOCKET KERNEL INITRD DRIVE | judge machine MONITOR SOCKET KERNEL INITRD DRIVE")
		os.Exit(2)
	}
}
