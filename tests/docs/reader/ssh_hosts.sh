# The machines of hosts.txt take ssh connections: of root and of admin, who is root by another name.
mkdir -p -m 700 ~/.ssh /run/sshd
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
ssh-keygen -q -t ed25519 -N '' -f ../host
for each in 10.0.0.11 10.0.0.12 '[10.0.0.13]:2222' 10.0.0.14; do
    echo "$each $(cut -d ' ' -f 1,2 ../host.pub)"
done > ~/.ssh/known_hosts
for name in root admin; do echo "$name::0:0::$HOME:/bin/sh"; done > ../passwd
grep -v '^root:' /etc/passwd >> ../passwd
printf '%s: files\n' passwd shadow group hosts > ../nsswitch.conf
cat > ../sshd.conf <<END
HostKey $(realpath ../host)
AuthorizedKeysFile $HOME/.ssh/id_ed25519.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
END
mount --bind ../passwd /etc/passwd
if [ -e /etc/nsswitch.conf ]; then mount --bind ../nsswitch.conf /etc/nsswitch.conf; fi
ln -s /opt/bench /srv/bench
