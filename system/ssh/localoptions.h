/* Dropbear for the Monolith: root logs in by public key, runs a command or a shell, forwards ports. */
#define INETD_MODE 0
#define DROPBEAR_DELAY_HOSTKEY 0
#define DROPBEAR_SVR_PASSWORD_AUTH 0
#define DROPBEAR_SVR_AGENTFWD 0
#define DROPBEAR_SFTPSERVER 0
#define DO_MOTD 0

/* Programs of ingots come before the system's own, as in a login shell. */
#define DEFAULT_ROOT_PATH "/usr/local/sbin:/usr/local/bin:/ingots/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DROPBEAR_PATH_SSH_PROGRAM "/usr/bin/ssh"
#define DROPBEAR_PIDFILE "/run/dropbear.pid"

/* Ingots have hundreds of megabytes, and not every host is near. */
#define DEFAULT_RECV_WINDOW 1048576

/* Speed before size: everything that is received is decrypted. */
#define DROPBEAR_SMALL_CODE 0
#define DROPBEAR_ENABLE_GCM_MODE 1
