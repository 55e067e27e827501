#!/bin/sh
# Become a systemd that has a machine of its own: started in new pid, mount, cgroup, uts and ipc namespaces.
#
# Its root is a copy-on-write view of the root here, so that every program is there and nothing written stays. What a
# systemd might do to the machine itself is out of its reach: /sys and /proc/sys are read-only, /dev is its own, and the
# only units are the few linked below and what the test installs.
# Usage: systemd_root.sh EMPTY_FOLDER [FOLDER PLACE]…: each FOLDER is to be seen at its PLACE, read-only
set -eu

mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" overlay "$1/root"
cd "$1/root"
shift
while [ $# -gt 0 ]; do
    mkdir -p ".$2"
    mount --bind "$1" ".$2"
    mount -o remount,bind,ro ".$2"
    shift 2
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run dev tmp; do mount -t tmpfs -o mode=0755 tmpfs $folder; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

units=etc/systemd/system
rm -rf var/log/journal "$units" etc/systemd/system.conf.d etc/systemd/journald.conf.d
mkdir -p "$units/sysinit.target.wants"
for unit in sysinit.target basic.target multi-user.target shutdown.target sockets.target timers.target network.target \
    network-online.target systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    ln -s /lib/systemd/system/$unit $units/
done
ln -s ../systemd-journald.service $units/sysinit.target.wants/
# A dozen generators run at each daemon-reload: those for disks, terminals and the kernel's command line find nothing.
generators=etc/systemd/system-generators
mkdir -p $generators
for generator in lib/systemd/system-generators/systemd-*; do
    case $generator in *-sysv-generator) ;; *) ln -s /dev/null "$generators/${generator##*/}" ;; esac
done
echo systemd-test >etc/hostname

pivot_root . mnt
umount -l /mnt
exec env -i container=certfleet-test SYSTEMD_UNIT_PATH=/etc/systemd/system PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
