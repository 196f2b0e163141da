#!/bin/sh
# Peer of bench/deploy: the same WordPress deployment as a plain script would do it, with no journal, no check
# of what was there before, and no way back. Everything comes by environment variables (see bench/deploy).
set -eu
user="cd-$NAME"
web_root="$INSTALL_PATH/$NAME"
release="$web_root/releases/$RELEASE"
password=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
sql() { mariadb --defaults-extra-file="$ROOT_CNF" --socket="$DB_SOCKET" -e "$1"; }

useradd -r -U -M -d "$web_root" -s /usr/sbin/nologin "$user"
gpasswd -a www-data "$user" >/dev/null

sql "CREATE DATABASE \`$DATABASE\` CHARACTER SET utf8mb4;
CREATE USER '$DATABASE'@'localhost' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON \`$(echo "$DATABASE" | sed 's/_/\\\\_/g')\`.* TO '$DATABASE'@'localhost';"

umask 027
mkdir -p "$web_root/releases" "$web_root/shared/wp-content" "$web_root/log" "$web_root/health" "$web_root/var/tmp" "$web_root/var/sessions"
cp -R -P "$SOURCE" "$release"
rm -f "$release/wp-config.php" "$release/.htaccess" "$release/wp-config-sample.php" "$release/readme.html"
if [ -d "$release/wp-content/uploads" ]; then mv "$release/wp-content/uploads" "$web_root/shared/wp-content/uploads"
else mkdir "$web_root/shared/wp-content/uploads"; fi
ln -s ../../../shared/wp-content/uploads "$release/wp-content/uploads"
ln -s "releases/$RELEASE" "$web_root/current"

{
  echo "<?php"
  echo "define('DB_NAME', '$DATABASE'); define('DB_USER', '$DATABASE'); define('DB_PASSWORD', '$password');"
  echo "define('DB_HOST', 'localhost:$DB_SOCKET'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');"
  for key in AUTH_KEY SECURE_AUTH_KEY LOGGED_IN_KEY NONCE_KEY AUTH_SALT SECURE_AUTH_SALT LOGGED_IN_SALT NONCE_SALT; do
    echo "define('$key', '$(head -c 32 /dev/urandom | base64)');"
  done
  echo "define('WP_HOME', 'https://$HOSTNAME_:$HTTPS_PORT'); define('WP_SITEURL', 'https://$HOSTNAME_:$HTTPS_PORT');"
  echo "define('DISABLE_WP_CRON', true); define('FORCE_SSL_ADMIN', true); define('WP_DEBUG', false);"
  echo "\$table_prefix = 'wp_'; if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }"
  echo "require_once ABSPATH . 'wp-settings.php';"
} >"$release/wp-config.php"
chgrp -R "$user" "$web_root"
chown -R "$user:$user" "$web_root/shared" "$web_root/var"
chown "$user:root" "$release/wp-config.php"

printf '{"instance":{"name":"%s","url":"https://%s:%s","hostnames":["%s"],"admin_email":"admin@example.com"},"secrets":{"admin_password":"%s"}}' \
  "$NAME" "$HOSTNAME_" "$HTTPS_PORT" "$HOSTNAME_" "$password" |
  setpriv --reuid "$user" --regid "$user" --clear-groups "$PHP" "$INSTALL" "$release"

umask 022
runtime="$RUNTIME/$NAME"
mkdir -p "$runtime"
chown "$user:www-data" "$runtime"
chmod 2750 "$runtime"
cat >"$POOLS/$NAME.conf" <<POOL
[global]
error_log = $web_root/var/php-fpm.log
pid = $runtime/fpm.pid
[$NAME]
listen = $runtime/php.sock
listen.mode = 0660
pm = ondemand
pm.max_children = 10
php_admin_value[open_basedir] = $web_root/
php_admin_value[session.save_path] = $web_root/var/sessions
POOL
setpriv --reuid "$user" --regid "$user" --clear-groups "$PHP_FPM" --daemonize --fpm-config "$POOLS/$NAME.conf"

cat >"$VHOSTS/$NAME.conf" <<VHOST
<VirtualHost *:$HTTPS_PORT>
    ServerName $HOSTNAME_
    DocumentRoot $web_root/current
    ErrorLog $web_root/log/error.log
    CustomLog $web_root/log/access.log combined
    SSLEngine on
    SSLCertificateFile $CERTIFICATE
    SSLCertificateKeyFile $KEY
    <Directory $web_root>
        Options FollowSymLinks
    </Directory>
    <Directory $web_root/current>
        Options FollowSymLinks
        AllowOverride None
        DirectoryIndex index.php
        FallbackResource /index.php
        Require all granted
    </Directory>
    <FilesMatch "\.php$">
        SetHandler "proxy:unix:$runtime/php.sock|fcgi://$NAME"
    </FilesMatch>
</VirtualHost>
VHOST
ln -s "../sites-available/$NAME.conf" "$ENABLED/$NAME.conf"
$WEB_SERVER -t 2>/dev/null
$WEB_SERVER -k graceful

# A graceful reload takes effect a little later.
tries=0
until curl --silent --cacert "$CA" --resolve "$HOSTNAME_:$HTTPS_PORT:127.0.0.1" "https://$HOSTNAME_:$HTTPS_PORT/wp-login.php" | grep -q 'id="loginform"'; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || exit 1
  sleep 0.02
done
echo "*/5 * * * * cd $web_root/current && $PHP $web_root/current/wp-cron.php >>$web_root/var/schedule.log 2>&1" | crontab -u "$user" -
sync -f "$web_root"
