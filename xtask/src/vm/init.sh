#!/bin/busybox sh
# The first process of the virtual machine: mounts what there is to mount, runs /run.sh, and powers off.
/bin/busybox mkdir -p /busybox
/bin/busybox --install -s /busybox
/bin/busybox ln -s busybox /bin/sh
# Last: its `ip` and the like are not what the tests mean.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/busybox HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /run/netns /run/lock
ulimit -n 20000
ip link set lo up
for module in /modules/*.ko; do
    [ -e "$module" ] && { insmod "$module" || echo "vm: $module can't be loaded"; }
done
echo "vm-booted: $(uname -r)"
sh /run.sh
echo "vm-ended: $?"
poweroff -f
