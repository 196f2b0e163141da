<?php
declare(strict_types=1);

// Installs WordPress without a person, a mail or a request: php install.php RELEASE < facts.json
// Standard input: {"instance": {name, url, hostnames, admin_email}, "database": …, "secrets": {admin_password, …}}
$release = rtrim($argv[1] ?? '', '/');
if (!is_file("$release/wp-load.php")) {
    fwrite(STDERR, "install.php: $release/wp-load.php is missing; the release is not a WordPress tree\n");
    exit(1);
}
$given = json_decode((string) stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);
$instance = $given['instance'];

define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = parse_url($instance['url'], PHP_URL_HOST);
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
$_SERVER['HTTPS'] = 'on';

// WordPress mails the new password to the administrator unless this function is somebody else's.
function wp_new_blog_notification($title, $url, $user, $password): void
{
}

require "$release/wp-load.php";
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

// The web server does not serve the site yet: WordPress's test of its own links would wait for nobody.
add_filter('pre_http_request', fn () => new WP_Error('installing', 'no request during the installation'));

if (is_blog_installed()) {
    echo "WordPress is installed already.\n";
    exit(0);
}
if (!wp_get_themes(['errors' => null])) {
    fwrite(STDERR, "install.php: wp-content/themes holds no theme; add one to the release\n");
    exit(1);
}
$result = wp_install(
    $instance['name'],
    'admin',
    $instance['admin_email'],
    true,
    '',
    wp_slash($given['secrets']['admin_password']),
);
if (is_wp_error($result) || empty($result['user_id'])) {
    fwrite(STDERR, "install.php: WordPress could not be installed\n");
    exit(1);
}
// The theme that WordPress was built for may not be in the release; without one every page is empty.
if (!wp_get_theme()->exists()) {
    switch_theme(array_key_first(wp_get_themes()));
}
echo 'WordPress ', $GLOBALS['wp_version'], ' is installed; the administrator is “admin”, theme ', wp_get_theme()->get('Name'), ".\n";
