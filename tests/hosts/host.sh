#!/bin/sh
# Turns the new namespaces that it is started in (network, mounts, processes, host name) into a host: host.sh NAME. Says
# so, and becomes the host's sshd, whose end is the end of all of it, as soon as a line comes in.
#
# Its own: host name, network, processes, /tmp, /dev/shm, /run, /var/log and the home folder. The machine's: everything
# else. Of folders that lie in one of its own, those in KEEP (one a line) are there as well, to be read.
set -eu
name=$1
home=$(getent passwd "$(id -u)" | cut -d: -f6)

hostname "$name"
ip link set lo up

mount -t tmpfs -o mode=0755 run /run
mkdir /run/sshd
echo "$KEEP" | while read -r folder; do
    mkdir -p "/run/kept$folder"
    mount --bind "$folder" "/run/kept$folder"
    mount -o remount,bind,ro "/run/kept$folder"
done
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=0755 log /var/log
mount -t tmpfs -o mode=0700 home "$home"
echo "$KEEP" | while read -r folder; do
    mkdir -p "$folder"
    mount --bind "/run/kept$folder" "$folder"
done
cd "$home"
echo made
read -r _
exec env -i HOME="$home" PATH="$PATH" LANG=C.UTF-8 /usr/sbin/sshd -D -f "$home/sshd_config"
